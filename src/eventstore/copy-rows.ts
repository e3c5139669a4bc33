import type pg from 'pg'
import { LogCorruptError } from './append-errors.ts'
import { BinaryRow } from './binary-row.ts'
import { CopyOut, type RowTaker } from './copy-out.ts'

/** What a COPY gave. */
export interface CopiedRows<Row> {
  readonly rows: readonly Row[]
  /** Rows after the limit of bytes were thrown away: the answer is its first part. */
  readonly isCut: boolean
}

/** How rows are read: all the columns of each, in their order. Rows over `maxBytes` together (always at least one is kept) are left out. */
export interface RowReading<Row> {
  readonly maxBytes: number
  readonly read: (columns: BinaryRow) => Row
}

/**
 * Runs a SELECT as `COPY ... TO STDOUT (FORMAT binary)`: bytes arrive as bytes, and no text is made of numbers. It takes no parameters,
 * so that values stand in the text.
 */
export async function copyRows<Row>(pool: pg.Pool, select: string, reading: RowReading<Row>): Promise<CopiedRows<Row>> {
  const client = await pool.connect()
  const rows = new Rows(reading)
  try {
    client.query(new CopyOut(select, rows))
    const copied = await rows.done
    client.release()
    return copied
  } catch (error) {
    client.release(true)
    throw error
  }
}

class Rows<Row> implements RowTaker {
  readonly done: Promise<CopiedRows<Row>>
  readonly #reading: RowReading<Row>
  readonly #settle: PromiseWithResolvers<CopiedRows<Row>>
  readonly #columns = new BinaryRow()
  readonly #rows: Row[] = []
  #bytes = 0
  #isCut = false
  #unreadable: Error | null = null

  constructor(reading: RowReading<Row>) {
    this.#reading = reading
    this.#settle = Promise.withResolvers()
    this.done = this.#settle.promise
  }

  row(bytes: Buffer, from: number, to: number): void {
    if (this.#isCut || this.#unreadable !== null) return
    const length = to - from
    if (this.#rows.length > 0 && this.#bytes + length > this.#reading.maxBytes) {
      this.#isCut = true
      return
    }
    this.#bytes += length
    try {
      this.#columns.begin(bytes, from)
      this.#rows.push(this.#reading.read(this.#columns))
      const left = to - this.#columns.at
      if (left !== 0) throw new LogCorruptError(`Cannot read a row: ${left} of its ${length} bytes belong to no column`)
    } catch (error) {
      this.#unreadable = error instanceof Error ? error : new Error(String(error))
    }
  }

  end(error: Error | null): void {
    const failure = error ?? this.#unreadable
    if (failure === null) this.#settle.resolve({ rows: this.#rows, isCut: this.#isCut })
    else this.#settle.reject(failure)
  }
}
