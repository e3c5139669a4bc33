import { type HeaderRule, ImageHeaderError } from './image-header-error.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Big-endian fields of the first bytes of a file. Every access is checked against what is there; nothing is copied but texts. */
export class ByteWindow {
  readonly lengthBytes: number
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #subject: string

  /** `subject` stands in every error: "Cannot read <subject>: ...". */
  constructor(bytes: Uint8Array, subject: string) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.lengthBytes = bytes.byteLength
    this.#subject = subject
  }

  u8(offset: number): number {
    return this.#view.getUint8(this.#checked(offset, 1))
  }

  u32(offset: number): number {
    return this.#view.getUint32(this.#checked(offset, 4))
  }

  u64(offset: number): bigint {
    return this.#view.getBigUint64(this.#checked(offset, 8))
  }

  /** A text field; refused when it holds NUL or is no UTF-8, because it could then not be named, compared or stored as it is. */
  text(field: {
    readonly name: string
    readonly rule: HeaderRule
    readonly offset: number
    readonly lengthBytes: number
  }): string {
    const start = this.#checked(field.offset, field.lengthBytes)
    const slice = this.#bytes.subarray(start, start + field.lengthBytes)
    if (slice.includes(0)) this.refuse(field.rule, field.offset, `${field.name} contains a NUL byte`)
    try {
      return utf8.decode(slice)
    } catch {
      return this.refuse(field.rule, field.offset, `${field.name} is not UTF-8`)
    }
  }

  /** Throws the ImageHeaderError of this file: `what` is half a sentence that quotes the value and states what is wanted. */
  refuse(rule: HeaderRule, offset: number | null, what: string): never {
    const place = offset === null ? '' : ` (offset ${offset})`
    throw new ImageHeaderError(`Cannot read ${this.#subject}: ${what}${place}`, { rule, offset })
  }

  #checked(offset: number, lengthBytes: number): number {
    if (offset + lengthBytes > this.lengthBytes) {
      this.refuse(
        'truncated',
        offset,
        `it ends at byte ${this.lengthBytes}, a field of ${lengthBytes} bytes lies beyond`,
      )
    }
    return offset
  }
}
