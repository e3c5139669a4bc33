import * as v from 'valibot'

/** A recorded fact of a known type: the tagged rows that every family of events is a union of. */
export interface Fact<Type extends string, Schema extends number, Data> {
  readonly type: Type
  readonly schema: Schema
  readonly data: Data
}

/** One row of the catalogue: the current schema version of an event type, what it means, and the parser of its stored data. */
export interface FactRow<Schema extends number, Data extends v.GenericSchema> {
  readonly schema: Schema
  readonly meaning: string
  readonly data: Data
}

/** Declares an event type. The data is an object whose 64-bit numbers are bigint here and decimal strings in JSON ({@link int64}). */
export function fact<const Schema extends number, Data extends v.GenericSchema>(
  schema: Schema,
  declared: { readonly meaning: string; readonly data: Data },
): FactRow<Schema, Data> {
  return { schema, ...declared }
}

type DeepReadonly<T> = T extends bigint | string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? readonly DeepReadonly<Item>[]
    : { readonly [K in keyof T]: DeepReadonly<T[K]> }

type AnyRow = FactRow<number, v.GenericSchema>

/** The union of facts that a family of rows declares. */
export type FactsOf<Rows extends Record<string, AnyRow>> = {
  [Type in keyof Rows & string]: Fact<Type, Rows[Type]['schema'], DeepReadonly<v.InferOutput<Rows[Type]['data']>>>
}[keyof Rows & string]

const decimal = /^(?:0|-?[1-9][0-9]{0,18})$/

/** Whether a number fits into 64 bits with a sign: what stored JSON and the columns of read models can hold. */
export function isInt64(value: bigint): boolean {
  return value >= -(2n ** 63n) && value < 2n ** 63n
}

/** A signed 64-bit number: bigint in memory, decimal string in stored JSON, so that nothing is lost over 2^53. */
export const int64 = v.pipe(
  v.string(),
  v.regex(decimal),
  v.transform((text) => BigInt(text)),
  v.check(isInt64, 'Invalid 64-bit number'),
)

/** Lower-case hex SHA-256: the name of a content-addressed text. */
export const sha256Text = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))

/** A UUID in its usual text form. */
export const uuidText = v.pipe(v.string(), v.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/))
