import * as v from 'valibot'
import { families } from '../events/catalogue.ts'
import { type DescribedField, type DescribedType, describeFields, describeTypes } from '../events/describe-catalogue.ts'
import { metadataSchema } from '../events/metadata.ts'
import { CliError } from './cli-error.ts'
import { alternatives } from './closest-names.ts'
import { eventsMarkdown, typeMarkdown } from './events-markdown.ts'
import { exitCode } from './exit-code.ts'
import type { Invocation } from './invocation.ts'
import { type Output, toned } from './output.ts'
import { formatTable } from './text-table.ts'

const optionsSchema = v.object({ markdown: v.optional(v.boolean(), false) })

/** `chronovisor events`: every type of event that the daemon records, or one with its fields. Needs no daemon. */
export async function eventsCommand({ args, options, out }: Invocation): Promise<number> {
  const { markdown } = v.parse(optionsSchema, options)
  const [wanted] = args
  const all = describeTypes(families)
  const metadata = describeFields('metadata', metadataSchema)
  if (wanted !== undefined) showOne(out, find(all, wanted), markdown)
  else if (markdown) out.line(eventsMarkdown(families, metadata).trimEnd())
  else if (out.isJson) out.document({ metadata, types: all })
  else showTypes(out, all)
  return exitCode.found
}

function find(types: readonly DescribedType[], wanted: string): DescribedType {
  const found = types.find(({ type }) => type.toLowerCase() === wanted.toLowerCase())
  if (found !== undefined) return found
  const names = types.map(({ type }) => type)
  throw new CliError(`Cannot show the event type "${wanted}": there is no such type${alternatives(wanted, names)}`)
}

function showTypes(out: Output, types: readonly DescribedType[]): void {
  const columns = ['EVENT', 'VERSION', 'STREAM', 'MEANING'].map((title) => ({ title }))
  const rows = types.map(({ type, version, streams, meaning }) => [type, `${version}`, streams.join(', '), meaning])
  const [titles = '', ...lines] = formatTable(columns, rows)
  out.line(toned(out, 'heading', titles))
  out.lines(lines)
}

function showOne(out: Output, type: DescribedType, markdown: boolean): void {
  if (markdown) out.line(typeMarkdown(type).trimEnd())
  else if (out.isJson) out.document(type)
  else showType(out, type)
}

function showType(out: Output, { type, version, streams, meaning, fields }: DescribedType): void {
  out.line(toned(out, 'heading', `${type}, version ${version}, on ${streams.join(', ')}`))
  out.line(meaning)
  if (fields.length === 0) return
  out.line('')
  const columns = ['FIELD', 'TYPE', 'UNIT', 'MEANING'].map((title) => ({ title }))
  out.lines(
    formatTable(
      columns,
      fields.flatMap((field) => rowsOf(field, '')),
    ),
  )
}

function rowsOf(field: DescribedField, indent: string): readonly (readonly string[])[] {
  const { name, type, unit, meaning, mayBeNull, fields } = field
  const row = [`${indent}${name}`, `${type}${mayBeNull ? ' or null' : ''}`, unit ?? '', meaning]
  return [row, ...fields.flatMap((nested) => rowsOf(nested, `${indent}  `))]
}
