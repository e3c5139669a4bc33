/** Values in PostgreSQL's binary form (see its `*_send` functions): a fraction of the work of their text form, at both ends. */

const int4Type = 23
const int8Type = 20
const uuidType = 2950
const byteaType = 17
const textType = 25
const timestamptzType = 1184
// Where PostgreSQL counts from: 2000-01-01, in microseconds since 1970
const timestampOriginUs = 946_684_800_000_000n
const uuidBytes = 16
// Of an array (array_send): dimensions, whether it has nulls, element type, count, first index
const arrayHeadBytes = 20

/** An int8. */
export function int8Value(value: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  viewOf(bytes).setBigInt64(0, value)
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

/** Writes the 16 bytes of a uuid in text form, which must be one; returns where they end. */
export function writeUuid(target: Uint8Array, text: string, at: number): number {
  let from = 0
  for (let byte = 0; byte < uuidBytes; byte += 1) {
    if (text.charCodeAt(from) === dash) from += 1
    target[at + byte] = (digitOf(text.charCodeAt(from)) << 4) | digitOf(text.charCodeAt(from + 1))
    from += 2
  }
  return at + uuidBytes
}

const dash = 0x2d

/** The value of a hexadecimal digit: 0-9 are 0x30-0x39, letters of both cases end in 1-6. */
function digitOf(code: number): number {
  return code < 0x40 ? code - 0x30 : (code & 0x0f) + 9
}

/** An array of int8. */
export function int8Array(values: readonly bigint[]): Buffer {
  const bytes = arrayOf(int8Type, values.length, 8 * values.length)
  const view = viewOf(bytes)
  let at = arrayHeadBytes
  for (const value of values) {
    view.setInt32(at, 8)
    view.setBigInt64(at + 4, value)
    at += 12
  }
  return bytes
}

/** An array of int8, or null. */
export function nullableInt8Array(values: readonly (bigint | null)[]): Buffer {
  return arrayOfValues(
    int8Type,
    values.map((value) => (value === null ? null : int8Value(value))),
  )
}

/** An array of int4. */
export function int4Array(values: readonly number[]): Buffer {
  const bytes = arrayOf(int4Type, values.length, 4 * values.length)
  const view = viewOf(bytes)
  let at = arrayHeadBytes
  for (const value of values) {
    view.setInt32(at, 4)
    view.setInt32(at + 4, value)
    at += 8
  }
  return bytes
}

/** An array of uuid, from their text forms. */
export function uuidArray(texts: readonly string[]): Buffer {
  const bytes = arrayOf(uuidType, texts.length, uuidBytes * texts.length)
  const view = viewOf(bytes)
  let at = arrayHeadBytes
  for (const text of texts) {
    view.setInt32(at, uuidBytes)
    at = writeUuid(bytes, text, at + 4)
  }
  return bytes
}

/** An array of text. */
export function textArray(values: readonly string[]): Buffer {
  return arrayOfValues(
    textType,
    values.map((value) => Buffer.from(value)),
  )
}

/** An array of bytea. */
export function byteaArray(values: readonly Uint8Array[]): Buffer {
  return arrayOfValues(byteaType, values)
}

/** An array of timestamptz, from microseconds since 1970. */
export function timestamptzArray(timesUs: readonly (bigint | null)[]): Buffer {
  return arrayOfValues(
    timestamptzType,
    timesUs.map((timeUs) => (timeUs === null ? null : int8Value(timeUs - timestampOriginUs))),
  )
}

/** An array of values of any type (its number in the catalogue, pg_type.oid) that are in binary form already, or null. */
export function arrayOfValues(type: number, values: readonly (Uint8Array | null)[]): Buffer {
  let size = 0
  for (const value of values) size += value?.length ?? 0
  const bytes = arrayOf(type, values.length, size)
  const view = viewOf(bytes)
  let at = arrayHeadBytes
  for (const value of values) {
    view.setInt32(at, value?.length ?? -1)
    at += 4
    if (value === null) {
      view.setInt32(4, 1)
      continue
    }
    bytes.set(value, at)
    at += value.length
  }
  return bytes
}

function arrayOf(type: number, count: number, contentBytes: number): Buffer {
  if (count === 0) throw new Error('Cannot send an array without elements')
  const bytes = Buffer.allocUnsafe(arrayHeadBytes + 4 * count + contentBytes)
  const view = viewOf(bytes)
  view.setInt32(0, 1)
  view.setInt32(4, 0)
  view.setInt32(8, type)
  view.setInt32(12, count)
  view.setInt32(16, 1)
  return bytes
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}
