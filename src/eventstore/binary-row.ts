import { LogCorruptError } from './append-errors.ts'
import type { UuidTexts } from './uuid-texts.ts'

const two32 = 4_294_967_296
// Up to here a number holds the upper half of an int8 and the lower one exactly.
const exactUpper = 1 << 20

/**
 * Reads the columns of a row in binary COPY form in their order; one reader serves for row after row. Columns of unexpected length would
 * shift the others: each is checked.
 */
export class BinaryRow {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0

  /** Where the next column begins. */
  get at(): number {
    return this.#at
  }

  /** Goes to the first column of the row that stands in `bytes` from `from` on. */
  begin(bytes: Buffer, from: number): void {
    this.#bytes = bytes
    this.#at = from + 2
  }

  /** An int8 that the log counts up itself, never near 2^53. */
  count(): number {
    const at = this.#next(8)
    return this.#bytes.readInt32BE(at) * two32 + this.#bytes.readUInt32BE(at + 4)
  }

  int8(): bigint {
    const at = this.#next(8)
    const upper = this.#bytes.readInt32BE(at)
    if (upper < -exactUpper || upper >= exactUpper) return this.#bytes.readBigInt64BE(at)
    return BigInt(upper * two32 + this.#bytes.readUInt32BE(at + 4))
  }

  int4(): number {
    return this.#bytes.readInt32BE(this.#next(4))
  }

  /** Adds a uuid to others; returns its number among them. */
  uuid(texts: UuidTexts): number {
    return texts.add(this.#bytes, this.#next(16))
  }

  text(): string {
    return this.bytes()?.toString() ?? ''
  }

  /** A view of the bytes of a column. */
  bytes(): Buffer | null {
    const length = this.#bytes.readInt32BE(this.#at)
    const from = this.#at + 4
    if (length < 0) {
      this.#at = from
      return null
    }
    this.#at = from + length
    return this.#bytes.subarray(from, from + length)
  }

  #next(length: number): number {
    const found = this.#bytes.readInt32BE(this.#at)
    if (found !== length) {
      throw new LogCorruptError(`Cannot read a row: a column has ${found} bytes, it must have ${length}`)
    }
    const from = this.#at + 4
    this.#at = from + length
    return from
  }
}
