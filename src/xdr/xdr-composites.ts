import type { Codec, ValueOf } from './xdr-codec.ts'
import { XdrError } from './xdr-error.ts'

/** The fields of a struct, in wire order. */
export type Fields = Readonly<Record<string, Codec<unknown>>>
/** The object that a struct of these fields reads and writes. */
export type StructValue<F extends Fields> = { readonly [K in keyof F]: ValueOf<F[K]> }

/** The arms of a union: its name in TypeScript, its discriminant on the wire, its value. */
export type Arms = Readonly<Record<string, readonly [discriminant: number, value: Codec<unknown>]>>
/** The tagged value that a union of these arms reads and writes. */
export type UnionValue<A extends Arms> = {
  [K in keyof A]: { readonly kind: K; readonly value: ValueOf<A[K][1]> }
}[keyof A]

/** Nothing at all: procedures without arguments or result. */
export const nothing: Codec<Record<never, never>> = { read: () => ({}), write: () => {} }

/** XDR's `*type`: null or one value. */
export function optional<T>(item: Codec<T>): Codec<T | null> {
  return {
    read: (reader) => (reader.bool() ? item.read(reader) : null),
    write(writer, value) {
      writer.bool(value !== null)
      if (value !== null) item.write(writer, value)
    },
  }
}

/** A counted array of at most `max` items; items are only allocated as their bytes are found. */
export function array<T>(item: Codec<T>, max: number): Codec<readonly T[]> {
  return {
    read(reader) {
      const count = reader.count(max)
      const items: T[] = []
      for (let index = 0; index < count; index++) items.push(item.read(reader))
      return items
    },
    write(writer, value) {
      writer.count(value.length, max)
      for (const one of value) item.write(writer, one)
    },
  }
}

/** An array of exactly `length` items, without a count on the wire. */
export function arrayFixed<T>(item: Codec<T>, length: number): Codec<readonly T[]> {
  return {
    read: (reader) => Array.from({ length }, () => item.read(reader)),
    write(writer, value) {
      if (value.length !== length) throw new XdrError(`Cannot write ${value.length} items: there must be ${length}`)
      for (const one of value) item.write(writer, one)
    },
  }
}

/** Named fields, one after the other, in the order of their declaration. */
export function struct<F extends Fields>(fields: F): Codec<StructValue<F>>
export function struct(fields: Fields): Codec<Readonly<Record<string, unknown>>> {
  const entries = Object.entries(fields)
  return {
    read(reader) {
      const value: Record<string, unknown> = {}
      for (const [name, codec] of entries) value[name] = codec.read(reader)
      return value
    },
    write(writer, value) {
      for (const [name, codec] of entries) codec.write(writer, value[name])
    },
  }
}

/** A value whose type is told by a discriminant before it; unknown discriminants are refused. */
export function union<A extends Arms>(arms: A): Codec<UnionValue<A>>
export function union(arms: Arms): Codec<{ readonly kind: string; readonly value: unknown }> {
  const byDiscriminant = new Map(
    Object.entries(arms).map(([kind, [discriminant, codec]]) => [discriminant, { kind, codec }]),
  )
  return {
    read(reader) {
      const discriminant = reader.i32()
      const arm = byDiscriminant.get(discriminant)
      if (arm === undefined) throw new XdrError(`Cannot read a union: discriminant ${discriminant} is unknown`)
      return { kind: arm.kind, value: arm.codec.read(reader) }
    },
    write(writer, { kind, value }) {
      const arm = arms[kind]
      if (arm === undefined) throw new XdrError(`Cannot write a union: kind ${JSON.stringify(kind)} is unknown`)
      writer.i32(arm[0])
      arm[1].write(writer, value)
    },
  }
}

/** A codec of another shape over the same bytes: `from` after reading, `to` before writing. */
export function mapped<Wire, T>(wire: Codec<Wire>, from: (value: Wire) => T, to: (value: T) => Wire): Codec<T> {
  return {
    read: (reader) => from(wire.read(reader)),
    write: (writer, value) => wire.write(writer, to(value)),
  }
}
