import * as v from 'valibot'
import { CliError } from './cli-error.ts'
import { exitCode } from './exit-code.ts'
import { findDomain, type KnownDomain } from './find-domain.ts'
import { localTime, microsecondsOf, utcTime } from './format-time.ts'
import { type History, openHistory, positionOption } from './history.ts'
import type { Invocation } from './invocation.ts'
import { diffLines, withContext } from './line-diff.ts'
import { type Definition, liveDefinitionAt, validThen } from './live-definition.ts'
import { type Output, toned } from './output.ts'

const contextLines = 3

const optionsSchema = v.object({
  asOf: v.optional(v.string()),
  diff: v.optional(v.string()),
  submitted: v.optional(v.boolean(), false),
  inactive: v.optional(v.boolean(), false),
})

/** `chronovisor xml`: the definition of a domain at any moment, or what changed in it since. */
export async function xmlCommand(invocation: Invocation): Promise<number> {
  const options = v.parse(optionsSchema, invocation.options)
  if (options.submitted && options.inactive)
    throw new CliError('Cannot use --submitted with --inactive: a submitted text has no state')
  const { out } = invocation
  const [wanted = ''] = invocation.args
  await using history = await openHistory(invocation.config)
  const nowUs = invocation.nowUs()
  const position = await positionOption(history, options.asOf, { nowUs })
  const domain = await findDomain(history, { wanted, position })
  const definition = await definitionAt(history, { domain, position, options })
  if (definition === null) {
    process.stderr.write(`${absentText(domain, { position, inactive: options.inactive })}\n`)
    return exitCode.nothing
  }
  if (options.diff !== undefined) {
    const other = await positionOption(history, options.diff, { nowUs })
    const after = await definitionAt(history, { domain, position: other, options })
    if (after === null)
      throw new CliError(
        `Cannot compare with @${other}: ${absentText(domain, { position: other, inactive: options.inactive })}`,
      )
    return showDiff(out, { domain, before: definition, after })
  }
  if (out.isJson) out.document(documentOf(domain, definition))
  else out.line(definition.xml.trimEnd())
  return exitCode.found
}

async function definitionAt(
  history: History,
  wish: {
    readonly domain: KnownDomain
    readonly position: bigint
    readonly options: { readonly submitted: boolean; readonly inactive: boolean }
  },
): Promise<Definition | null> {
  const { position, options } = wish
  const { uuid } = wish.domain
  if (!options.submitted && !options.inactive) {
    const live = await liveDefinitionAt(history, { uuid, position })
    if (live !== null) return live
  }
  const column = options.submitted ? 'submitted_sha256' : 'definition_sha256'
  const found = await definedRow(history, { uuid, position, column })
  if (found === null) return null
  const { sha256, from_position: fromPosition, valid_from: validFrom } = found
  return { xml: await history.text(sha256), sha256, fromPosition, fromUs: microsecondsOf(validFrom) }
}

interface HashRow {
  readonly sha256: string
  readonly from_position: bigint
  readonly valid_from: string
}

/** The definition of the next start. */
async function definedRow(
  history: History,
  wish: { readonly uuid: string; readonly position: bigint; readonly column: 'definition_sha256' | 'submitted_sha256' },
): Promise<HashRow | null> {
  const [row] = await history.rows<HashRow & { readonly [column: string]: unknown }>(
    `select ${wish.column} as sha256, from_position, valid_from from domain_definitions where domain_uuid = $1::text and ${validThen}`,
    [wish.uuid, wish.position],
  )
  return row ?? null
}

function absentText(
  domain: KnownDomain,
  { position, inactive }: { readonly position: bigint; readonly inactive: boolean },
): string {
  const what = inactive ? 'was not defined' : 'was neither defined nor running'
  const until = domain.toPosition === null ? '' : ` to @${domain.toPosition}`
  return `Domain "${domain.name}" ${what} at @${position}; it was known from @${domain.fromPosition}${until}`
}

function documentOf(domain: KnownDomain, { xml, sha256, fromPosition, fromUs }: Definition): object {
  return { name: domain.name, uuid: domain.uuid, sha256, sincePosition: fromPosition, since: utcTime(fromUs), xml }
}

function showDiff(
  out: Output,
  shown: { readonly domain: KnownDomain; readonly before: Definition; readonly after: Definition },
): number {
  const { domain, before, after } = shown
  const lines = before.sha256 === after.sha256 ? [] : withContext(diffLines(before.xml, after.xml), contextLines)
  if (out.isJson) out.document({ before: documentOf(domain, before), after: documentOf(domain, after), diff: lines })
  else if (lines.length > 0) {
    const title = ({ fromPosition, fromUs }: Definition): string =>
      `${domain.name} since @${fromPosition} ${localTime(fromUs)}`
    out.lines([toned(out, 'heading', `--- ${title(before)}`), toned(out, 'heading', `+++ ${title(after)}`)])
    for (const line of lines)
      out.line(line.startsWith('+') ? toned(out, 'good', line) : line.startsWith('-') ? toned(out, 'bad', line) : line)
  }
  if (lines.length === 0) process.stderr.write(`Domain "${domain.name}" has the same text at both moments\n`)
  return lines.length === 0 ? exitCode.nothing : exitCode.found
}
