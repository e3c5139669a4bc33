import fc from 'fast-check'
import type * as v from 'valibot'
import { catalogue, type FactType } from '../../src/events/catalogue.ts'
import { int64, sha256Text, uuidText } from '../../src/events/fact.ts'

const lowest = -(2n ** 63n)
const highest = 2n ** 63n - 1n

/** Any signed 64-bit number, its two ends more often than chance would. */
export const anyInt64 = fc.oneof(
  fc.bigInt({ min: lowest, max: highest }),
  fc.constantFrom(lowest, highest, 0n, -1n, 2n ** 53n + 1n),
)

const hexDigit = fc.nat(15).map((digit) => digit.toString(16))
const anySha256 = fc.array(hexDigit, { minLength: 64, maxLength: 64 }).map((digits) => digits.join(''))
const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.string())

/** Data that a fact of the type may have, made from its own parser, so that no type is forgotten. */
export function anyData(type: FactType): fc.Arbitrary<object> {
  return anyOf(catalogue[type].data).map((value) => {
    if (typeof value === 'object' && value !== null) return value
    throw new Error(`The data of ${type} is no object`)
  })
}

interface Loose {
  readonly type: string
  readonly entries?: Readonly<Record<string, v.GenericSchema>>
  readonly item?: v.GenericSchema
  readonly wrapped?: v.GenericSchema
  readonly value?: v.GenericSchema
  readonly options?: readonly string[]
  /** What {@link about} wrapped stands first in it. */
  readonly pipe?: readonly object[]
}

function anyOf(schema: v.GenericSchema): fc.Arbitrary<unknown> {
  if (isOrWraps(schema, int64)) return anyInt64
  if (isOrWraps(schema, sha256Text)) return anySha256
  if (isOrWraps(schema, uuidText)) return fc.uuid()
  const { type, entries, item, wrapped, value, options }: Loose = schema
  switch (type) {
    case 'object':
      return fc.record(Object.fromEntries(Object.entries(entries ?? {}).map(([name, one]) => [name, anyOf(one)])))
    case 'array':
      return fc.array(anyOf(part(item)), { maxLength: 4 })
    case 'record':
      return fc.dictionary(
        fc.string().filter((key) => !['__proto__', 'prototype', 'constructor'].includes(key)),
        anyOf(part(value)),
        { maxKeys: 4, noNullPrototype: true },
      )
    case 'nullable':
      return fc.option(anyOf(part(wrapped)), { nil: null })
    case 'picklist':
      return fc.constantFrom(...(options ?? []))
    case 'string':
      return anyText
    case 'number':
      return fc.oneof(fc.integer(), fc.maxSafeInteger())
    case 'boolean':
      return fc.boolean()
    default:
      throw new Error(`No values are made for a schema of type ${type}`)
  }
}

function isOrWraps(schema: object, wanted: object): boolean {
  const { pipe }: Partial<Loose> = schema
  return schema === wanted || (pipe?.some((item) => item !== schema && isOrWraps(item, wanted)) ?? false)
}

function part(schema: v.GenericSchema | undefined): v.GenericSchema {
  if (schema === undefined) throw new Error('A schema lacks the part that its type promises')
  return schema
}
