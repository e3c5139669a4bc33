import { XdrReader } from './xdr-reader.ts'
import { XdrWriter } from './xdr-writer.ts'

/**
 * Both directions of one data type. Declared as methods, not function properties: a table of unlike codecs then still
 * infers (method parameters are compared bivariantly).
 */
export interface Codec<T> {
  read(reader: XdrReader): T
  write(writer: XdrWriter, value: T): void
}

/** The TypeScript type that a codec reads and writes. */
export type ValueOf<C> = C extends Codec<infer T> ? T : never

/** Signed and unsigned 32-bit integers; also XDR's `char`, `short` and `enum`, which take a word each. */
export const i32: Codec<number> = { read: (reader) => reader.i32(), write: (writer, value) => writer.i32(value) }
/** An unsigned 32-bit integer. */
export const u32: Codec<number> = { read: (reader) => reader.u32(), write: (writer, value) => writer.u32(value) }
/** A signed 64-bit integer (`hyper`). */
export const i64: Codec<bigint> = { read: (reader) => reader.i64(), write: (writer, value) => writer.i64(value) }
/** An unsigned 64-bit integer (`unsigned hyper`). */
export const u64: Codec<bigint> = { read: (reader) => reader.u64(), write: (writer, value) => writer.u64(value) }
/** An IEEE 754 double. */
export const double: Codec<number> = {
  read: (reader) => reader.double(),
  write: (writer, value) => writer.double(value),
}
/** A word that is 0 or 1, nothing else. */
export const bool: Codec<boolean> = { read: (reader) => reader.bool(), write: (writer, value) => writer.bool(value) }

/** Exactly `length` bytes. What is read is a view into the message. */
export function opaqueFixed(length: number): Codec<Uint8Array> {
  return { read: (reader) => reader.fixed(length), write: (writer, value) => writer.fixed(value, length) }
}

/** Up to `maxLength` bytes. What is read is a view into the message. */
export function opaque(maxLength: number): Codec<Uint8Array> {
  return { read: (reader) => reader.opaque(maxLength), write: (writer, value) => writer.opaque(value, maxLength) }
}

/** A string of up to `maxLength` bytes of UTF-8. */
export function text(maxLength: number): Codec<string> {
  return { read: (reader) => reader.text(maxLength), write: (writer, value) => writer.text(value, maxLength) }
}

/** Reads one value that must fill the bytes exactly, from `offset` on. Throws XdrError. */
export function decode<T>(codec: Codec<T>, bytes: Buffer, offset = 0): T {
  const reader = new XdrReader(bytes, offset)
  const value = codec.read(reader)
  reader.end()
  return value
}

/** The bytes of one value. Throws XdrError when it is over a limit. */
export function encode<T>(codec: Codec<T>, value: T): Buffer {
  const writer = new XdrWriter()
  codec.write(writer, value)
  return writer.take()
}
