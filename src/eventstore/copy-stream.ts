import type pg from 'pg'
import { CopyOut, type RowTaker } from './copy-out.ts'

const pausedAtBytes = 4 << 20
const resumedAtBytes = 1 << 20

/**
 * Runs a SELECT as `COPY ... TO STDOUT (FORMAT binary)` and gives its rows as they come in, in PostgreSQL's binary COPY form; the server
 * waits while they are worked on. The rows are views of what the socket gave. Who stops before the end must destroy the connection.
 */
export async function* copyStream(client: pg.ClientBase, select: string): AsyncGenerator<readonly Buffer[], void> {
  const pages = new Pages()
  const copy = new CopyOut(select, pages)
  pages.onFull = (isFull) => copy.hold(isFull)
  client.query(copy)
  for (;;) {
    const rows = await pages.next()
    if (rows === null) return
    yield rows
  }
}

/** The rows that have come in and were not asked for yet, as they came together. */
class Pages implements RowTaker {
  onFull: (isFull: boolean) => void = () => undefined
  readonly #pages: { readonly rows: readonly Buffer[]; readonly bytes: number }[] = []
  #rows: Buffer[] = []
  #rowsBytes = 0
  #bytes = 0
  #isOver = false
  #error: Error | null = null
  #wake: (() => void) | null = null

  row(bytes: Buffer, from: number, to: number): void {
    this.#rows.push(bytes.subarray(from, to))
    this.#rowsBytes += to - from
  }

  pause(): void {
    if (this.#rows.length === 0) return
    this.#pages.push({ rows: this.#rows, bytes: this.#rowsBytes })
    this.#bytes += this.#rowsBytes
    this.#rows = []
    this.#rowsBytes = 0
    if (this.#bytes > pausedAtBytes) this.onFull(true)
    this.#wakeReader()
  }

  end(error: Error | null): void {
    this.#isOver = true
    this.#error = error
    this.#wakeReader()
  }

  /** The next rows, null after the last. */
  async next(): Promise<readonly Buffer[] | null> {
    for (;;) {
      const page = this.#pages.shift()
      if (page !== undefined) {
        this.#bytes -= page.bytes
        if (this.#bytes < resumedAtBytes) this.onFull(false)
        return page.rows
      }
      if (this.#error !== null) throw this.#error
      if (this.#isOver) return null
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      await promise
    }
  }

  #wakeReader(): void {
    this.#wake?.()
    this.#wake = null
  }
}
