import { LogCorruptError } from './append-errors.ts'

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

const textLength = 36
const dash = '-'.charCodeAt(0)
const digits = Buffer.from('0123456789abcdef')
// Where the 16 bytes of a uuid stand in its text: after 4, 6, 8 and 10 of them comes a dash.
const places = Uint8Array.from([0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34])

/** Makes the texts of many uuids at once: one conversion of all their characters is a fraction of the work of one for each. */
export class UuidTexts {
  #characters = Buffer.allocUnsafe(textLength)
  #count = 0
  #all: string | null = null

  /** Takes 16 bytes; returns their number. */
  add(bytes: Buffer, at: number): number {
    const from = this.#count * textLength
    if (from + textLength > this.#characters.length) this.#grow()
    const characters = this.#characters
    for (let index = 0; index < 16; index += 1) {
      const byte = bytes[at + index] ?? 0
      const place = from + (places[index] ?? 0)
      characters[place] = digits[byte >> 4] ?? 0
      characters[place + 1] = digits[byte & 15] ?? 0
    }
    for (const place of [8, 13, 18, 23]) characters[from + place] = dash
    this.#count += 1
    this.#all = null
    return this.#count - 1
  }

  /** The text of the uuid of a number. */
  text(number: number): string {
    this.#all ??= this.#characters.toString('latin1', 0, this.#count * textLength)
    return this.#all.slice(number * textLength, (number + 1) * textLength)
  }

  #grow(): void {
    const larger = Buffer.allocUnsafe(this.#characters.length * 4)
    larger.set(this.#characters)
    this.#characters = larger
  }
}
