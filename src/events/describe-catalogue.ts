import * as v from 'valibot'
import { type AnyFactRow, int64, sha256Text, uuidText } from './fact.ts'

/** A field of an event as people read of it. */
export interface DescribedField {
  readonly name: string
  /** In the stored JSON: `text`, `decimal text`, `number`, `boolean`, `object`, `list of …`, `map of …`, or the values that it may have. */
  readonly type: string
  /** What a number counts; null where it counts nothing, or things. */
  readonly unit: string | null
  readonly meaning: string
  readonly mayBeNull: boolean
  /** What an object holds, or each object of a list. */
  readonly fields: readonly DescribedField[]
}

/** An event type as people read of it. */
export interface DescribedType {
  readonly type: string
  /** The newest schema version; every one before it is read, too. */
  readonly version: number
  readonly streams: readonly string[]
  readonly meaning: string
  readonly fields: readonly DescribedField[]
}

/** A family's rows with the streams that they stand on. */
export interface DescribedFamily {
  readonly streams: readonly string[]
  readonly facts: Readonly<Record<string, AnyFactRow>>
  /** What bounds how many there are. */
  readonly growth: string
}

/** All types of the families, in their order. Throws for a field that does not say what it means. */
export function describeTypes(families: readonly DescribedFamily[]): readonly DescribedType[] {
  return families.flatMap(({ streams, facts }) =>
    Object.entries(facts).map(([type, { schema, meaning, data }]) => ({
      type,
      version: schema,
      streams,
      meaning,
      fields: describeFields(type, data),
    })),
  )
}

/** The fields of an object; `place` is for the words of an error. */
export function describeFields(place: string, schema: v.GenericSchema): readonly DescribedField[] {
  const { entries }: Parts = schema
  if (entries === undefined) throw new Error(`Cannot describe ${place}: it is no object`)
  return Object.entries(entries).map(([name, field]) => describeField(`${place}.${name}`, { name, field }))
}

/** The parts of a parser that say what it takes; those of a field with a meaning stand behind those of the field itself. */
interface Parts {
  readonly type: string
  readonly entries?: Readonly<Record<string, v.GenericSchema>>
  readonly item?: v.GenericSchema
  readonly wrapped?: v.GenericSchema
  readonly value?: v.GenericSchema
  readonly options?: readonly string[]
  readonly pipe?: readonly object[]
}

function describeField(
  place: string,
  { name, field }: { readonly name: string; readonly field: v.GenericSchema },
): DescribedField {
  const meaning = v.getDescription(field)
  if (meaning === undefined) throw new Error(`Cannot describe ${place}: it does not say what it means`)
  const { type, wrapped }: Parts = field
  const mayBeNull = type === 'nullable'
  const inner = mayBeNull ? part(place, wrapped) : field
  return { name, type: typeOf(place, inner), unit: unitOf(name), meaning, mayBeNull, fields: nestedIn(place, inner) }
}

function typeOf(place: string, schema: v.GenericSchema): string {
  const { type, item, value, options }: Parts = schema
  if (isOrWraps(schema, int64)) return 'decimal text'
  if (isOrWraps(schema, sha256Text)) return 'SHA-256'
  if (isOrWraps(schema, uuidText)) return 'UUID'
  switch (type) {
    case 'string':
      return 'text'
    case 'array':
      return `list of ${typeOf(place, part(place, item))}`
    case 'record':
      return `map of ${typeOf(place, part(place, value))}`
    case 'picklist':
      return (options ?? []).join(' | ')
    default:
      return type
  }
}

function nestedIn(place: string, schema: v.GenericSchema): readonly DescribedField[] {
  const { entries, item, value, wrapped }: Parts = schema
  if (entries !== undefined) return describeFields(place, schema)
  const inner = item ?? value ?? wrapped
  return inner === undefined ? [] : nestedIn(place, inner)
}

/** Ends of names that say what a number counts. */
const units = [
  ['AtUs', 'µs since 1970'],
  ['sinceUs', 'µs since 1970'],
  ['untilUs', 'µs since 1970'],
  ['oldUs', 'µs since 1970'],
  ['newUs', 'µs since 1970'],
  ['Us', 'µs'],
  ['mtimeNs', 'ns since 1970'],
  ['ctimeNs', 'ns since 1970'],
  ['MtimeNs', 'ns since 1970'],
  ['Ms', 'ms'],
  ['bytesPerSecond', 'bytes/s'],
  ['Bytes', 'bytes'],
  ['Ticks', 'clock ticks'],
] as const

function unitOf(name: string): string | null {
  return units.find(([end]) => name.endsWith(end))?.[1] ?? null
}

function isOrWraps(schema: object, wanted: object): boolean {
  const { pipe }: Partial<Parts> = schema
  return schema === wanted || (pipe?.some((item) => item !== schema && isOrWraps(item, wanted)) ?? false)
}

function part(place: string, schema: v.GenericSchema | undefined): v.GenericSchema {
  if (schema === undefined) throw new Error(`Cannot describe ${place}: a part of its parser is missing`)
  return schema
}
