import { XdrError } from './xdr-error.ts'

const minU64 = 0n
const maxU64 = 2n ** 64n - 1n
const minI64 = -(2n ** 63n)
const maxI64 = 2n ** 63n - 1n

/** Texts up to this many UTF-16 units reserve the worst case and are written in one pass; longer ones are measured first. */
const onePassTextLength = 1024

/** Appends RFC 4506 items to a buffer that doubles as it grows; `take` hands it over without a copy. */
export class XdrWriter {
  #bytes: Buffer
  #length = 0

  constructor(initialBytes = 256) {
    this.#bytes = Buffer.allocUnsafe(initialBytes)
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length
  }

  u32(value: number): void {
    if (value >>> 0 !== value) throw new XdrError(`Cannot write ${value}: it is no unsigned 32-bit integer`)
    this.#putWord(value)
  }

  i32(value: number): void {
    if ((value | 0) !== value) throw new XdrError(`Cannot write ${value}: it is no 32-bit integer`)
    this.#putWord(value)
  }

  u64(value: bigint): void {
    if (value < minU64 || value > maxU64) throw new XdrError(`Cannot write ${value}: it is no unsigned 64-bit integer`)
    this.#bytes.writeBigUInt64BE(value, this.#reserve(8))
  }

  i64(value: bigint): void {
    if (value < minI64 || value > maxI64) throw new XdrError(`Cannot write ${value}: it is no 64-bit integer`)
    this.#bytes.writeBigInt64BE(value, this.#reserve(8))
  }

  double(value: number): void {
    this.#bytes.writeDoubleBE(value, this.#reserve(8))
  }

  bool(value: boolean): void {
    this.#putWord(value ? 1 : 0)
  }

  /** Exactly `length` bytes, then zeros up to a multiple of four. */
  fixed(value: Uint8Array, length: number): void {
    if (value.length !== length) throw new XdrError(`Cannot write ${value.length} bytes: there must be ${length}`)
    const at = this.#reserve(length)
    this.#bytes.set(value, at)
    this.#pad(length)
  }

  opaque(value: Uint8Array, maxLength: number): void {
    this.count(value.length, maxLength)
    this.fixed(value, value.length)
  }

  text(value: string, maxLength: number): void {
    const room = value.length <= onePassTextLength ? value.length * 3 : Buffer.byteLength(value)
    const lengthAt = this.#reserve(4)
    this.#ensure(room)
    const written = this.#bytes.write(value, this.#length, 'utf8')
    if (written > maxLength) {
      throw new XdrError(`Cannot write a string of ${written} bytes: it is over the limit of ${maxLength}`)
    }
    this.#bytes.writeUInt32BE(written, lengthAt)
    this.#length += written
    this.#pad(written)
  }

  /** The length of an array or a run of bytes: never over `max`. */
  count(value: number, max: number): void {
    if (value > max) throw new XdrError(`Cannot write ${value} items: it is over the limit of ${max}`)
    this.u32(value)
  }

  /** Overwrites a word written before, such as the frame's length once it is known. */
  patchU32(at: number, value: number): void {
    this.#bytes.writeUInt32BE(value, at)
  }

  /** The bytes written; the writer must not be used afterwards. */
  take(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #putWord(value: number): void {
    const at = this.#reserve(4)
    const bytes = this.#bytes
    bytes[at] = value >>> 24
    bytes[at + 1] = value >>> 16
    bytes[at + 2] = value >>> 8
    bytes[at + 3] = value
  }

  #pad(length: number): void {
    const padding = -length & 3
    if (padding === 0) return
    const at = this.#reserve(padding)
    this.#bytes.fill(0, at, at + padding)
  }

  #reserve(length: number): number {
    this.#ensure(length)
    const at = this.#length
    this.#length = at + length
    return at
  }

  #ensure(length: number): void {
    const needed = this.#length + length
    if (needed <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}
