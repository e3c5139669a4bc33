const firstBytes = 16 << 10
const keptBytes = 1 << 20
const keptBuffers = 4
const lengthBytes = 4
const noBytes = Buffer.alloc(0)
const textFormat = 0
const binaryFormat = 1

/** What a parameter may be: text in PostgreSQL's text form, bytes in its binary form, or null. */
export type ParameterValue = string | Uint8Array | null

/**
 * Builds messages of a PostgreSQL client (protocol 3.0, "Message Formats" in its documentation), one after the other in buffers that are
 * used again and again: what `take` returned must have been sent before the next `begin`.
 */
export class ProtocolWriter {
  readonly #kept: Buffer<ArrayBuffer>[] = []
  #taken = 0
  #bytes = noBytes
  #end = 0
  #whole = 0

  /** All that was taken has been sent, or never will be. */
  begin(): void {
    if (this.#taken > 0) this.#bytes = this.#kept[0] ?? noBytes
    this.#taken = 0
    this.#end = 0
    this.#whole = 0
  }

  /** Has the server prepare a statement; the types of its parameters come from their casts. */
  parse(name: string, sql: string): void {
    const start = this.#begin(parseCode)
    this.#zeroEnded(name)
    this.#zeroEnded(sql)
    this.#int16(0)
    this.#finish(start)
  }

  /** Gives a prepared statement its parameters. */
  bind(name: string, values: readonly ParameterValue[]): void {
    const start = this.#begin(bindCode)
    this.#zeroEnded('')
    this.#zeroEnded(name)
    this.#int16(values.length)
    for (const value of values) this.#int16(value instanceof Uint8Array ? binaryFormat : textFormat)
    this.#int16(values.length)
    for (const value of values) this.#value(value)
    this.#int16(0)
    this.#finish(start)
  }

  /** Runs what was bound last, to its end. */
  execute(): void {
    const start = this.#begin(executeCode)
    this.#zeroEnded('')
    this.#int32(0)
    this.#finish(start)
  }

  /** Ends the implicit transaction. */
  sync(): void {
    this.#finish(this.#begin(syncCode))
  }

  /** Takes back a message that is not whole. */
  rewind(): void {
    this.#end = this.#whole
  }

  /** The messages since the last call. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#end)
    if (this.#bytes.length <= keptBytes && this.#taken < keptBuffers) this.#kept[this.#taken] = this.#bytes
    this.#taken += 1
    this.#bytes = this.#kept[this.#taken] ?? noBytes
    this.#end = 0
    this.#whole = 0
    return taken
  }

  #begin(code: number): number {
    this.#reserve(1 + lengthBytes)
    this.#bytes[this.#end] = code
    this.#end += 1 + lengthBytes
    return this.#end - lengthBytes
  }

  #finish(start: number): void {
    this.#bytes.writeInt32BE(this.#end - start, start)
    this.#whole = this.#end
  }

  #value(value: ParameterValue): void {
    if (value === null) return this.#int32(-1)
    const bytes = typeof value === 'string' ? Buffer.byteLength(value) : value.length
    this.#int32(bytes)
    this.#reserve(bytes)
    if (typeof value === 'string') this.#bytes.write(value, this.#end, 'utf8')
    else this.#bytes.set(value, this.#end)
    this.#end += bytes
  }

  #zeroEnded(text: string): void {
    const bytes = Buffer.byteLength(text)
    this.#reserve(bytes + 1)
    this.#bytes.write(text, this.#end, 'utf8')
    this.#bytes[this.#end + bytes] = 0
    this.#end += bytes + 1
  }

  #int16(value: number): void {
    this.#reserve(2)
    this.#end = this.#bytes.writeInt16BE(value, this.#end)
  }

  #int32(value: number): void {
    this.#reserve(4)
    this.#end = this.#bytes.writeInt32BE(value, this.#end)
  }

  #reserve(bytes: number): void {
    const wanted = this.#end + bytes
    if (wanted <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#bytes.length, firstBytes))
    this.#bytes.copy(larger, 0, 0, this.#end)
    this.#bytes = larger
  }
}

const [parseCode = 0, bindCode = 0, executeCode = 0, syncCode = 0] = Buffer.from('PBES')
