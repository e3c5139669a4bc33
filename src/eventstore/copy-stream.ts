import type { Duplex } from 'node:stream'
import type pg from 'pg'

const copyDataCode = 0x64 // "d"
const copyOutCode = 0x48 // "H"
const messageHeadBytes = 5
const signature = Buffer.from('PGCOPY\n\u00ff\r\n\0', 'latin1')
const headBytes = signature.length + 8
const pausedAtBytes = 4 << 20
const resumedAtBytes = 1 << 20

/**
 * Runs a SELECT as `COPY ... TO STDOUT (FORMAT binary)` and gives its rows as they come in, in PostgreSQL's binary COPY form; the server
 * waits while they are worked on. The rows are views of what the socket gave: `pg` copies and takes apart every message, which costs more
 * than all that is done with them here. Who stops before the end must destroy the connection.
 */
export async function* copyStream(client: pg.ClientBase, select: string): AsyncGenerator<readonly Buffer[], void> {
  const copy = new CopyStream(`copy (${select}) to stdout (format binary)`)
  client.query(copy)
  for (;;) {
    const rows = await copy.next()
    if (rows === null) return
    yield rows
  }
}

/** A query as `pg` drives it. As long as rows come it reads the socket in the place of `pg`. */
class CopyStream implements pg.Submittable {
  callback: (error?: Error | null) => void
  readonly #text: string
  #stream: Duplex | null = null
  #pgListener: ((chunk: Buffer) => void) | null = null
  #pages: (readonly Buffer[])[] = []
  #pagesBytes: number[] = []
  #bytes = 0
  #rest: Buffer | null = null
  #isOver = false
  #error: Error | null = null
  #wake: (() => void) | null = null

  constructor(text: string) {
    this.#text = text
    this.callback = (error) => this.#end(error ?? null)
  }

  submit(connection: pg.Connection): void {
    const stream = connection.stream
    const [listener, ...others] = stream.listeners('data')
    if (typeof listener !== 'function' || others.length > 0)
      throw new Error('Cannot copy rows: the connection is read by somebody else')
    this.#stream = stream
    this.#pgListener = (chunk) => void Reflect.apply(listener, stream, [chunk])
    stream.removeAllListeners('data')
    stream.on('data', this.#onData)
    this.#giveBack = () => {
      stream.removeListener('data', this.#onData)
      stream.on('data', this.#pgListener ?? (() => undefined))
    }
    stream.once('close', this.#onClose)
    connection.query(this.#text)
  }

  /** The next rows, null after the last. */
  async next(): Promise<readonly Buffer[] | null> {
    for (;;) {
      const page = this.#pages.shift()
      if (page !== undefined) {
        this.#bytes -= this.#pagesBytes.shift() ?? 0
        if (this.#bytes < resumedAtBytes) this.#stream?.resume()
        return page
      }
      if (this.#error !== null) throw this.#error
      if (this.#isOver) return null
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      await promise
    }
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

  #giveBack: () => void = () => undefined

  readonly #onClose = (): void => {
    this.#end(new Error('Cannot copy rows: the connection was closed'))
  }

  readonly #onData = (chunk: Buffer): void => {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = null
    const rows: Buffer[] = []
    let at = 0
    while (at + messageHeadBytes <= bytes.length) {
      const code = bytes[at]
      const end = at + 1 + bytes.readUInt32BE(at + 1)
      if (code !== copyDataCode && code !== copyOutCode) {
        this.#publish(rows, bytes.length)
        this.#giveBack()
        this.#pgListener?.(bytes.subarray(at))
        return
      }
      if (end > bytes.length) break
      if (code === copyDataCode) pushRow(rows, bytes.subarray(at + messageHeadBytes, end))
      at = end
    }
    if (at < bytes.length) this.#rest = bytes.subarray(at)
    this.#publish(rows, bytes.length)
  }

  #publish(rows: readonly Buffer[], bytes: number): void {
    if (rows.length === 0) return
    this.#pages.push(rows)
    this.#pagesBytes.push(bytes)
    this.#bytes += bytes
    if (this.#bytes > pausedAtBytes) this.#stream?.pause()
    this.#wake?.()
    this.#wake = null
  }

  #end(error: Error | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#error = error
    this.#stream?.removeListener('close', this.#onClose)
    this.#stream?.resume()
    this.#wake?.()
    this.#wake = null
  }
}

/** A message has a row; the first one may have the head of the whole in front, the last one its end instead. */
function pushRow(rows: Buffer[], message: Buffer): void {
  const hasHead = message[0] === signature[0] && message.subarray(0, signature.length).equals(signature)
  const row = hasHead ? message.subarray(headBytes) : message
  if (row.length > 2 || (row.length === 2 && row.readInt16BE(0) !== -1)) rows.push(row)
}
