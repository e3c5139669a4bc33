import type { Duplex } from 'node:stream'
import type pg from 'pg'

/** Who takes the rows of a COPY as they come in. */
export interface RowTaker {
  /** A row stands in `bytes` from `from` to `to`, in PostgreSQL's binary COPY form. The bytes stay as they are. */
  row(bytes: Buffer, from: number, to: number): void
  /** All whole rows of what the socket gave were handed over. */
  pause?(): void
  /** No more rows come. */
  end(error: Error | null): void
}

const copyDataCode = 0x64 // "d"
const copyOutCode = 0x48 // "H"
// CopyDone, CommandComplete, ErrorResponse, ReadyForQuery: no row follows
const lastCodes: ReadonlySet<number> = new Set(Buffer.from('cCEZ'))
const messageHeadBytes = 5
const signature = Buffer.from('PGCOPY\n\u00ff\r\n\0', 'latin1')
const headBytes = signature.length + 8

/**
 * A SELECT run as `COPY ... TO STDOUT (FORMAT binary)`, as `pg` drives a query. As long as rows come it reads the socket in the place of
 * `pg`, which copies and takes apart every message: that costs more than all that is done with the rows here.
 */
export class CopyOut implements pg.Submittable {
  callback: (error?: Error | null) => void
  readonly #select: string
  readonly #taker: RowTaker
  #stream: Duplex | null = null
  #pgListener: (chunk: Buffer) => void = () => undefined
  /** The beginning of a message whose end has not come yet, and how long it is at least. */
  #held: Buffer[] = []
  #heldBytes = 0
  #wantedBytes = 0
  #isOver = false

  constructor(select: string, taker: RowTaker) {
    this.#select = select
    this.#taker = taker
    this.callback = (error) => this.#end(error ?? null)
  }

  submit(connection: pg.Connection): void {
    const stream = connection.stream
    const [listener, ...others] = stream.listeners('data')
    if (!isListener(listener) || others.length > 0)
      throw new Error('Cannot copy rows: the connection is read by somebody else')
    this.#stream = stream
    this.#pgListener = listener
    stream.removeListener('data', listener)
    stream.on('data', this.#onData)
    stream.once('close', this.#onClose)
    connection.query(`copy (${this.#select}) to stdout (format binary)`)
  }

  /** Has the server wait, or go on. */
  hold(isHeld: boolean): void {
    if (isHeld) this.#stream?.pause()
    else this.#stream?.resume()
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

  readonly #onClose = (): void => {
    this.#end(new Error('Cannot copy rows: the connection was closed'))
  }

  readonly #onData = (chunk: Buffer): void => {
    const bytes = this.#joined(chunk)
    if (bytes === null) return
    let at = 0
    while (at + messageHeadBytes <= bytes.length) {
      const code = bytes[at] ?? 0
      if (lastCodes.has(code)) {
        this.#taker.pause?.()
        this.#giveBack(bytes.subarray(at))
        return
      }
      const end = at + 1 + bytes.readUInt32BE(at + 1)
      if (end > bytes.length) break
      if (code === copyDataCode) this.#takeRow(bytes, at + messageHeadBytes, end)
      else if (code !== copyOutCode) this.#pgListener(bytes.subarray(at, end)) // a notice, say
      at = end
    }
    if (at < bytes.length) this.#holdBack(bytes.subarray(at))
    this.#taker.pause?.()
  }

  /** What was held back with what has come; null where its message is still not whole. A long one is put together once. */
  #joined(chunk: Buffer): Buffer | null {
    if (this.#held.length === 0) return chunk
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    if (this.#heldBytes < this.#wantedBytes) return null
    const bytes = Buffer.concat(this.#held, this.#heldBytes)
    this.#held = []
    this.#heldBytes = 0
    return bytes
  }

  #holdBack(rest: Buffer): void {
    this.#held = [rest]
    this.#heldBytes = rest.length
    this.#wantedBytes = rest.length < messageHeadBytes ? messageHeadBytes : 1 + rest.readUInt32BE(1)
  }

  /** A message has a row; the first one may have the head of the whole in front, the last one its end instead. */
  #takeRow(bytes: Buffer, from: number, to: number): void {
    const start = from + (startsWithSignature(bytes, from, to) ? headBytes : 0)
    const length = to - start
    if (length > 2 || (length === 2 && bytes.readInt16BE(start) !== -1)) this.#taker.row(bytes, start, to)
  }

  #giveBack(rest: Buffer): void {
    this.#stream?.removeListener('data', this.#onData)
    this.#stream?.on('data', this.#pgListener)
    this.#pgListener(rest)
  }

  #end(error: Error | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stream?.removeListener('close', this.#onClose)
    this.#stream?.resume()
    this.#taker.end(error)
  }
}

function isListener(value: unknown): value is (chunk: Buffer) => void {
  return typeof value === 'function'
}

function startsWithSignature(bytes: Buffer, from: number, to: number): boolean {
  return (
    bytes[from] === signature[0] &&
    to - from >= headBytes &&
    bytes.compare(signature, 0, signature.length, from, from + signature.length) === 0
  )
}
