import type { BackupColumn } from './backup-kinds.ts'

/** What stands before the rows of PostgreSQL's binary COPY form: signature, flags, length of the extension (all 0). */
export const copyHead: Buffer = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])

/** What stands after the rows. */
export const copyEnd: Buffer = Buffer.from([0xff, 0xff])

/**
 * A row in binary COPY form: the number of fields as int16, then for each its length as int32 (-1 for null) and its bytes, all
 * big-endian. `ends` are the offsets at which the fields end.
 */
export interface CopyRow {
  readonly bytes: Buffer
  readonly ends: readonly number[]
}

/** The bytes of a field of a row; null where it is null. */
export function copyField({ bytes, ends }: CopyRow, index: number): Buffer | null {
  const start = index === 0 ? countBytes : (ends[index - 1] ?? 0)
  const length = bytes.readInt32BE(start)
  return length === -1 ? null : bytes.subarray(start + lengthBytes, start + lengthBytes + length)
}

/** A field that is an int8 and cannot be null. */
export function copyInt8(row: CopyRow, index: number): bigint {
  const start = index === 0 ? countBytes : (row.ends[index - 1] ?? 0)
  return row.bytes.readBigInt64BE(start + lengthBytes)
}

/** The row that begins at an offset, or how many bytes from there it needs at least. Throws where it cannot be a row. */
export function copyRowAt(
  bytes: Buffer,
  start: number,
  { fields }: { readonly fields: number },
): CopyRow | { readonly needed: number } {
  if (start + countBytes > bytes.length) return { needed: countBytes }
  const count = bytes.readInt16BE(start)
  if (count !== fields) throw new Error(`a row has ${count} fields, it must have ${fields}`)
  const ends: number[] = []
  let at = start + countBytes
  for (let field = 0; field < fields; field += 1) {
    if (at + lengthBytes > bytes.length) return { needed: at + lengthBytes - start }
    const length = bytes.readInt32BE(at)
    if (length < -1 || length > longestField) throw new Error(`a field has the length ${length}`)
    at += lengthBytes + Math.max(length, 0)
    if (at > bytes.length) return { needed: at - start }
    ends.push(at - start)
  }
  return { bytes: bytes.subarray(start, at), ends }
}

/** Says what is wrong with a field's form; null where nothing is. */
export function fieldFault(column: BackupColumn, field: Buffer | null): string | null {
  if (field === null) return column.nullable ? null : `${column.name} is null`
  const expected = fixedBytes[column.type]
  if (expected !== null && field.length !== expected) return `${column.name} has ${field.length} bytes, not ${expected}`
  return null
}

/** Cuts what COPY TO sends into its rows. Feed it chunk after chunk, then call `end`. */
export class CopyRowSplitter {
  readonly #fields: number
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #needed = copyHead.length
  #state: 'head' | 'rows' | 'end' = 'head'

  constructor({ fields }: { readonly fields: number }) {
    this.#fields = fields
  }

  *push(chunk: Buffer): Generator<CopyRow, void> {
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    if (this.#waitingBytes < this.#needed) return
    const bytes = this.#waiting.length === 1 ? chunk : Buffer.concat(this.#waiting)
    let at = 0
    if (this.#state === 'head') {
      at = copyHead.length
      this.#state = 'rows'
    }
    let needed = countBytes
    while (at + countBytes <= bytes.length) {
      if (bytes.readInt16BE(at) === -1) {
        this.#state = 'end'
        at += countBytes
        break
      }
      const row = copyRowAt(bytes, at, { fields: this.#fields })
      if ('needed' in row) {
        needed = row.needed
        break
      }
      at += row.bytes.length
      yield row
    }
    this.#needed = needed
    this.#waiting = at === bytes.length ? [] : [bytes.subarray(at)]
    this.#waitingBytes = bytes.length - at
  }

  /** Throws where the rows did not end as they should. */
  end(): void {
    if (this.#state !== 'end' || this.#waitingBytes > 0) throw new Error('Cannot copy rows: they end in the middle')
  }
}

const countBytes = 2
const lengthBytes = 4
// PostgreSQL's own limit of a field
const longestField = 1 << 30
const fixedBytes = { int4: 4, int8: 8, uuid: 16, hash: 32, text: null, bytea: null } as const
