import type pg from 'pg'
import { LogCorruptError } from './append-errors.ts'

/** What a COPY gave: the bytes of each row, to be read with {@link BinaryRow}. */
export interface CopiedRows {
  readonly rows: readonly Buffer[]
  /** Rows after the limit of bytes were thrown away: the answer is its first part. */
  readonly isCut: boolean
}

const largestSlabBytes = 64 << 10
const signatureBytes = 11
const headerBytes = signatureBytes + 8
const firstSignatureByte = 0x50 // of "PGCOPY"

/**
 * Runs a SELECT as `COPY ... TO STDOUT (FORMAT binary)`: bytes arrive as bytes, and no text is made of numbers. It takes no parameters,
 * so that values stand in the text. Rows over `maxBytes` together (always at least one is kept) are not held in memory.
 */
export async function copyRows(
  pool: pg.Pool,
  select: string,
  { maxBytes }: { readonly maxBytes: number },
): Promise<CopiedRows> {
  const client = await pool.connect()
  const copy = new CopyOut(`copy (${select}) to stdout (format binary)`, maxBytes)
  try {
    client.query(copy)
    const rows = await copy.done
    client.release()
    return rows
  } catch (error) {
    client.release(true)
    throw error
  }
}

/** A query as `pg` drives it: it calls the `handle...` methods, and `callback` once it is over (a time limit is kept there). */
class CopyOut implements pg.Submittable {
  readonly done: Promise<CopiedRows>
  callback: (error?: Error | null) => void
  readonly #text: string
  readonly #maxBytes: number
  readonly #rows: Buffer[] = []
  #slab = Buffer.allocUnsafeSlow(0)
  #used = 0
  #bytes = 0
  #isCut = false

  constructor(text: string, maxBytes: number) {
    this.#text = text
    this.#maxBytes = maxBytes
    const { promise, resolve, reject } = Promise.withResolvers<CopiedRows>()
    this.done = promise
    this.callback = (error) => {
      if (error === undefined || error === null) resolve({ rows: this.#rows, isCut: this.#isCut })
      else reject(error)
    }
  }

  submit(connection: pg.Connection): void {
    connection.query(this.#text)
  }

  /** The chunk is a part of a buffer that will be used again, so that it has to be copied. */
  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    const start = chunk[0] === firstSignatureByte ? headerBytes : 0
    const length = chunk.length - start
    if (length < 4 || this.#isCut) return // the header alone, or the end
    if (this.#rows.length > 0 && this.#bytes + length > this.#maxBytes) {
      this.#isCut = true
      return
    }
    if (length > this.#slab.length - this.#used) {
      // Slabs grow with the answer: whoever keeps a few rows keeps little more than those.
      this.#slab = Buffer.allocUnsafeSlow(Math.max(length, Math.min(largestSlabBytes, this.#bytes)))
      this.#used = 0
    }
    chunk.copy(this.#slab, this.#used, start)
    this.#rows.push(this.#slab.subarray(this.#used, this.#used + length))
    this.#used += length
    this.#bytes += length
  }

  handleReadyForQuery(): void {
    this.callback()
  }

  handleError(error: Error): void {
    this.callback(error)
  }

  handleCommandComplete(): void {
    // The end is told by ReadyForQuery.
  }
}

/** Reads the columns of a row in their order. Columns of unexpected length would shift the others: each is checked. */
export class BinaryRow {
  #row: Buffer
  #at = 2

  constructor(row: Buffer) {
    this.#row = row
  }

  /** An int8 that the log counts up itself, never near 2^53. */
  count(): number {
    this.#expect(8)
    const value = this.#row.readInt32BE(this.#at) * 4_294_967_296 + this.#row.readUInt32BE(this.#at + 4)
    this.#at += 8
    return value
  }

  int8(): bigint {
    this.#expect(8)
    const value = this.#row.readBigInt64BE(this.#at)
    this.#at += 8
    return value
  }

  int4(): number {
    this.#expect(4)
    const value = this.#row.readInt32BE(this.#at)
    this.#at += 4
    return value
  }

  uuid(): string {
    this.#expect(16)
    const value = uuidText(this.#row, this.#at)
    this.#at += 16
    return value
  }

  text(): string {
    return this.bytes()?.toString() ?? ''
  }

  bytes(): Buffer | null {
    const length = this.#row.readInt32BE(this.#at)
    this.#at += 4
    if (length === -1) return null
    const value = this.#row.subarray(this.#at, this.#at + length)
    this.#at += length
    return value
  }

  #expect(length: number): void {
    const found = this.#row.readInt32BE(this.#at)
    if (found !== length) {
      throw new LogCorruptError(`Cannot read a row: a column has ${found} bytes, it must have ${length}`)
    }
    this.#at += 4
  }
}

const digits = Buffer.from('0123456789abcdef')
const uuidScratch = Buffer.alloc(36, '-')
const uuidPlaces = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34]

/** One conversion of 36 characters is three times as quick as sixteen of two. */
function uuidText(from: Buffer, at: number): string {
  for (let index = 0; index < 16; index += 1) {
    const byte = from[at + index] ?? 0
    const place = uuidPlaces[index] ?? 0
    uuidScratch[place] = digits[byte >> 4] ?? 0
    uuidScratch[place + 1] = digits[byte & 15] ?? 0
  }
  return uuidScratch.toString('latin1')
}
