/** Values in PostgreSQL's binary form (see its `*_send` functions): a fraction of the work of their text form, at both ends. */

const int4Type = 23
const int8Type = 20
const uuidType = 2950
const byteaType = 17
const textType = 25
const uuidBytes = 16
// Of an array (array_send): dimensions, whether it has nulls, element type, count, first index
const arrayHeadBytes = 20

/** An int8. */
export function int8Value(value: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigInt64BE(value)
  return bytes
}

/** An int4. */
export function int4Value(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** A uuid, from its text form. */
export function uuidValue(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(uuidBytes)
  writeUuid(bytes, text, 0)
  return bytes
}

/** Writes the 16 bytes of a uuid in text form; returns where they end. */
export function writeUuid(target: Buffer, text: string, at: number): number {
  target.write(text.replaceAll('-', ''), at, uuidBytes, 'hex')
  return at + uuidBytes
}

/** An array of int8. */
export function int8Array(values: readonly bigint[]): Buffer {
  const bytes = arrayOf(int8Type, values.length, 8 * values.length)
  let at = arrayHeadBytes
  for (const value of values) {
    at = bytes.writeInt32BE(8, at)
    at = bytes.writeBigInt64BE(value, at)
  }
  return bytes
}

/** An array of int4. */
export function int4Array(values: readonly number[]): Buffer {
  const bytes = arrayOf(int4Type, values.length, 4 * values.length)
  let at = arrayHeadBytes
  for (const value of values) {
    at = bytes.writeInt32BE(4, at)
    at = bytes.writeInt32BE(value, at)
  }
  return bytes
}

/** An array of uuid, from their text forms. */
export function uuidArray(texts: readonly string[]): Buffer {
  const bytes = arrayOf(uuidType, texts.length, uuidBytes * texts.length)
  let at = arrayHeadBytes
  for (const text of texts) {
    at = bytes.writeInt32BE(uuidBytes, at)
    at = writeUuid(bytes, text, at)
  }
  return bytes
}

/** An array of text. */
export function textArray(values: readonly string[]): Buffer {
  return bytesArray(
    textType,
    values.map((value) => Buffer.from(value)),
  )
}

/** An array of bytea. */
export function byteaArray(values: readonly Uint8Array[]): Buffer {
  return bytesArray(byteaType, values)
}

function bytesArray(type: number, values: readonly Uint8Array[]): Buffer {
  let size = 0
  for (const value of values) size += value.length
  const bytes = arrayOf(type, values.length, size)
  let at = arrayHeadBytes
  for (const value of values) {
    at = bytes.writeInt32BE(value.length, at)
    bytes.set(value, at)
    at += value.length
  }
  return bytes
}

function arrayOf(type: number, count: number, contentBytes: number): Buffer {
  if (count === 0) throw new Error('Cannot send an array without elements')
  const bytes = Buffer.allocUnsafe(arrayHeadBytes + 4 * count + contentBytes)
  let at = bytes.writeInt32BE(1)
  at = bytes.writeInt32BE(0, at)
  at = bytes.writeInt32BE(type, at)
  at = bytes.writeInt32BE(count, at)
  bytes.writeInt32BE(1, at)
  return bytes
}
