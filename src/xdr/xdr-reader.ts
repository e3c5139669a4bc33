import { isUtf8 } from 'node:buffer'
import { XdrError } from './xdr-error.ts'

/**
 * Reads RFC 4506 items from one buffer, front to back. Nothing is believed: every length is checked against the caller's
 * maximum and against the bytes that are there before a single byte is copied, and padding must be present and zero.
 */
export class XdrReader {
  readonly #bytes: Buffer
  #offset: number

  constructor(bytes: Buffer, offset = 0) {
    this.#bytes = bytes
    this.#offset = offset
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#offset
  }

  u32(): number {
    const at = this.#take(4, 'an unsigned integer')
    return this.#bytes.readUInt32BE(at)
  }

  i32(): number {
    const at = this.#take(4, 'an integer')
    return this.#bytes.readInt32BE(at)
  }

  u64(): bigint {
    const at = this.#take(8, 'an unsigned hyper')
    return this.#bytes.readBigUInt64BE(at)
  }

  i64(): bigint {
    const at = this.#take(8, 'a hyper')
    return this.#bytes.readBigInt64BE(at)
  }

  double(): number {
    const at = this.#take(8, 'a double')
    return this.#bytes.readDoubleBE(at)
  }

  bool(): boolean {
    const value = this.u32()
    if (value > 1) throw new XdrError(`Cannot read a boolean at byte ${this.#offset - 4}: ${value} is neither 0 nor 1`)
    return value === 1
  }

  /** Exactly `length` bytes and their padding; a view, valid as long as the message. */
  fixed(length: number): Buffer {
    const at = this.#take(paddedLength(length), `${length} bytes`)
    for (let index = at + length; index < this.#offset; index++) {
      if (this.#bytes[index] !== 0)
        throw new XdrError(`Cannot read ${length} bytes at byte ${at}: the padding is not zero`)
    }
    return this.#bytes.subarray(at, at + length)
  }

  /** A counted run of bytes; a view, valid as long as the message. */
  opaque(maxLength: number): Buffer {
    return this.fixed(this.count(maxLength))
  }

  /** A counted run of UTF-8 without NUL, which no C client could have meant. */
  text(maxLength: number): string {
    const at = this.#offset
    const bytes = this.opaque(maxLength)
    if (!isUtf8(bytes)) throw new XdrError(`Cannot read a string at byte ${at}: it is not valid UTF-8`)
    if (bytes.includes(0)) throw new XdrError(`Cannot read a string at byte ${at}: it contains a NUL byte`)
    return bytes.toString('utf8')
  }

  /** The length of an array or a run of bytes: never over `max`. */
  count(max: number): number {
    const value = this.u32()
    if (value > max) {
      throw new XdrError(`Cannot read a length at byte ${this.#offset - 4}: ${value} is over the limit of ${max}`)
    }
    return value
  }

  /** Refuses bytes after the last item. */
  end(): void {
    if (this.remaining !== 0) {
      throw new XdrError(
        `Cannot accept the message: ${this.remaining} bytes follow the last item at byte ${this.#offset}`,
      )
    }
  }

  #take(length: number, what: string): number {
    const at = this.#offset
    if (length > this.#bytes.length - at) {
      throw new XdrError(`Cannot read ${what} at byte ${at}: ${this.#bytes.length - at} bytes are left`)
    }
    this.#offset = at + length
    return at
  }
}

/** RFC 4506 section 3: everything occupies a multiple of four bytes. */
function paddedLength(length: number): number {
  return (length + 3) & ~3
}
