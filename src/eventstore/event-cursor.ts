import { type EventRow, eventRow } from './event-row.ts'
import type { LogFindings } from './log-finding.ts'
import type { LogSource } from './log-tables.ts'
import { RowQueue } from './row-queue.ts'

const mostStrays = 100

/** The events in the order of their positions; rows that stand where another belongs are told and left out. */
export class EventCursor {
  readonly #findings: LogFindings
  readonly #queue: RowQueue
  readonly #strays: EventRow[] = []
  #next: EventRow | null = null

  constructor(source: LogSource, { from, findings }: { readonly from: bigint; readonly findings: LogFindings }) {
    this.#findings = findings
    this.#queue = new RowQueue(from === 0n ? source.rows('event') : source.rows('event', from))
  }

  /** Whether {@link fill} has to be awaited before {@link take}. */
  get isEmpty(): boolean {
    return this.#next === null && this.#queue.isEmpty
  }

  async fill(): Promise<void> {
    await this.#queue.fill()
  }

  /**
   * The event at a position: its row, null where the next row is of a later one or there is none, undefined where the next row is not in
   * memory yet.
   */
  take(position: number): EventRow | null | undefined {
    for (;;) {
      const row = this.#peek()
      if (row === null) return this.#queue.isEmpty ? undefined : null
      if (row.position > position) return null
      this.#next = null
      if (row.position === position) return row
      this.#stray(row)
    }
  }

  /** Leaves out what else stands at a position whose row was taken. */
  async drain(position: number): Promise<void> {
    for (;;) {
      if (this.isEmpty) await this.fill()
      const row = this.#peek()
      if (row?.position !== position) return
      this.#next = null
      this.#stray(row)
    }
  }

  /** Whether no row is left. */
  get isAtEnd(): boolean {
    return !this.isEmpty && this.#peek() === null
  }

  /** Rows that were left out because they stood at a position that had a row already. */
  twins(position: number): readonly EventRow[] {
    return this.#strays.filter((row) => row.position === position)
  }

  /** Tells of the rows behind the last commit. */
  async finish(): Promise<void> {
    for (;;) {
      if (this.isEmpty) await this.fill()
      const row = this.#peek()
      if (row === null) return
      this.#next = null
      this.#stray(row)
    }
  }

  async close(): Promise<void> {
    await this.#queue.close()
  }

  #peek(): EventRow | null {
    if (this.#next === null) {
      const row = this.#queue.take()
      if (row !== null) this.#next = eventRow(row)
    }
    return this.#next
  }

  #stray(event: EventRow): void {
    const { row } = event
    if (this.#strays.length < mostStrays) this.#strays.push(event)
    const position = row.readBigInt64BE(6)
    const text = `a row of table event stands at position ${position}, which is not its own`
    this.#findings.add({ table: 'event', key: String(position), columns: ['pos'], position, text })
  }
}
