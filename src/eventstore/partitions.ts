import type pg from 'pg'
import type { LogAlarm } from './commit-participant.ts'
import { messageOf } from './postgres-failure.ts'

/** Keeps partitions of the event table made ahead of the writer, on a connection that is not the writer's. */
export class Partitions {
  readonly #pool: pg.Pool
  readonly #size: bigint
  readonly #alarm: (alarm: LogAlarm) => void
  #end: bigint
  #making: Promise<void> | null = null

  constructor(pool: pg.Pool, from: { nextPosition: bigint; size: bigint; alarm: (alarm: LogAlarm) => void }) {
    this.#pool = pool
    this.#size = from.size
    this.#alarm = from.alarm
    this.#end = (from.nextPosition / from.size) * from.size
  }

  /** Waits until there are partitions up to a position. */
  async ensure(position: bigint): Promise<void> {
    while (position >= this.#end) await this.#makeNext()
  }

  /** Begins with the next partition once the last one made is in use. */
  prepareAfter(position: bigint): void {
    if (position < this.#end - this.#size || this.#making !== null) return
    this.#makeNext().catch((error: unknown) => {
      const text = `The next partition of the log could not be made: ${messageOf(error)}`
      this.#alarm({
        kind: 'partition-failed',
        text,
        error: error instanceof Error ? error : new Error(messageOf(error)),
      })
    })
  }

  /** Waits for what is being made. */
  async settled(): Promise<void> {
    await this.#making?.catch(() => undefined)
  }

  #makeNext(): Promise<void> {
    this.#making ??= this.#make().finally(() => {
      this.#making = null
    })
    return this.#making
  }

  async #make(): Promise<void> {
    await this.#pool.query('select log_add_partition($1::int8)', [this.#end])
    this.#end += this.#size
  }
}
