import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { LogAlarm } from './event-store-options.ts'
import { messageOf } from './postgres-failure.ts'

/** Where partitions are made: after which position, of which size, and who hears of failures. */
export interface PartitionsOptions {
  readonly nextPosition: bigint
  readonly size: bigint
  readonly alarm: (alarm: LogAlarm) => void
}

// Whoever holds a lock that is in the way (ANALYZE, an index being built) is waited for in small bits: a request that waits long would
// have others wait behind it.
const lockTimeout = '500ms'
const firstPauseMs = 50
const longestPauseMs = 2_000
// An append waits no longer than its own limit; the alarm is raised before that.
const tries = 8

/** Keeps partitions of the event table made ahead of the writer, on a connection that is not the writer's. */
export class Partitions {
  readonly #pool: pg.Pool
  readonly #size: bigint
  readonly #alarm: (alarm: LogAlarm) => void
  #end: bigint
  #making: Promise<void> | null = null
  #notBeforeMs = 0

  constructor(pool: pg.Pool, { nextPosition, size, alarm }: PartitionsOptions) {
    this.#pool = pool
    this.#size = size
    this.#alarm = alarm
    this.#end = (nextPosition / size) * size
  }

  /** Whether there is a partition for a position. */
  has(position: bigint): boolean {
    return position < this.#end
  }

  /** Waits until there are partitions up to a position. */
  async ensure(position: bigint): Promise<void> {
    while (position >= this.#end) await this.#makeNext()
  }

  /** Begins with the next partition once the last one made is in use. */
  prepareAfter(position: bigint): void {
    if (position < this.#end - this.#size || this.#making !== null || performance.now() < this.#notBeforeMs) return
    this.#makeNext().catch((error: unknown) => {
      this.#notBeforeMs = performance.now() + longestPauseMs
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
    // One message, one transaction: the limit holds in it and ends with it.
    const text = `select set_config('lock_timeout', '${lockTimeout}', true); select log_add_partition(${this.#end}::int8)`
    for (let left = tries, pauseMs = firstPauseMs; ; left -= 1, pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        await this.#pool.query(text)
        break
      } catch (error) {
        if (left === 0 || !isLocked(error)) throw error
        await sleep(pauseMs)
      }
    }
    this.#end += this.#size
  }
}

/** `lock_not_available`: the time for waiting is over. */
function isLocked(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '55P03'
}
