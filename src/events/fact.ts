import * as v from 'valibot'

/** A recorded fact of a known type: the tagged rows that every family of events is a union of. */
export interface Fact<Type extends string, Schema extends number, Data> {
  readonly type: Type
  readonly schema: Schema
  readonly data: Data
}

/** One step of an event type's data from a schema version to the next. The parser of the older form stays here for ever. */
export interface Upcast {
  readonly from: v.GenericSchema
  readonly to: v.GenericSchema
  lift(data: unknown): unknown
}

/**
 * One row of the catalogue: the newest schema version of an event type, what it means, the parser of its stored data, and
 * one step for each older version, oldest first. The log keeps every version as it was written; only reading lifts it.
 */
export interface FactRow<Schema extends number, Data extends v.GenericSchema> {
  readonly schema: Schema
  readonly meaning: string
  readonly data: Data
  readonly older: readonly Upcast[]
}

/** A row of the catalogue of any type. */
export type AnyFactRow = FactRow<number, v.GenericSchema>

/**
 * Declares an event type at its newest schema version. The data is an object whose 64-bit numbers are bigint here and
 * decimal strings in JSON ({@link int64}); each field says what it means by {@link about}.
 *
 * To change the form of a type: raise the number, keep the former parser under a name of its own, say by {@link upcast} how
 * it becomes the next one, and pin one stored example of the new form in `fixtures/events/<Type>.<version>.json`.
 *
 * ```ts
 * DomainMoved: fact(2, { meaning: '…', data: moved2, older: [upcast(moved1, moved2, (one) => ({ ...one, why: null }))] })
 * ```
 */
export function fact<const Schema extends number, Data extends v.GenericSchema>(
  schema: Schema,
  declared: { readonly meaning: string; readonly data: Data; readonly older?: readonly Upcast[] },
): FactRow<Schema, Data> {
  const { older = [] } = declared
  if (older.length !== schema - 1) {
    throw new Error(`Cannot declare version ${schema}: ${older.length} older versions are given, it has ${schema - 1}`)
  }
  older.forEach((step, at) => {
    if (step.to !== (older[at + 1]?.from ?? declared.data)) {
      throw new Error(`Cannot declare version ${schema}: the step from version ${at + 1} leads to no later version`)
    }
  })
  return { schema, ...declared, older }
}

/** A step from one schema version to the next. `lift` is pure: it sees what the older parser gave, and only that. */
export function upcast<From extends v.GenericSchema, To extends v.GenericSchema>(
  from: From,
  to: To,
  lift: (data: DeepReadonly<v.InferOutput<From>>) => DeepReadonly<v.InferOutput<To>>,
): Upcast {
  return { from, to, lift }
}

/** A field of an event with what it means, for the printed catalogue. Its unit stands at the end of its name. */
export function about<const Schema extends v.GenericSchema>(schema: Schema, meaning: string) {
  return v.pipe(schema, v.description(meaning))
}

type DeepReadonly<T> = T extends bigint | string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? readonly DeepReadonly<Item>[]
    : { readonly [K in keyof T]: DeepReadonly<T[K]> }

/** The union of facts that a family of rows declares. */
export type FactsOf<Rows extends Record<string, AnyFactRow>> = {
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
