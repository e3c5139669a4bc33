import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { EventStoreLimits } from './event-store-options.ts'

const everyMs = 60_000
const restMs = 50
const rowsAtATime = 1_000
// Clocks are set now and then: a row is kept a little longer than it can be asked for.
const sparedMs = 300_000

/** Deletes requests that nobody may repeat any more: few at a time, by key, on a connection that is not the writer's. */
export class RequestPruner {
  readonly #pool: pg.Pool
  readonly #windowMs: number
  readonly #nowUs: () => bigint
  readonly #signal: AbortSignal
  readonly #timer: NodeJS.Timeout
  #work: Promise<void> | null = null

  constructor(
    pool: pg.Pool,
    parts: { readonly limits: EventStoreLimits; readonly nowUs: () => bigint; readonly signal: AbortSignal },
  ) {
    this.#pool = pool
    this.#windowMs = parts.limits.requestWindowMs
    this.#nowUs = parts.nowUs
    this.#signal = parts.signal
    this.#timer = setInterval(() => this.#begin(), everyMs).unref()
    this.#signal.addEventListener('abort', () => clearInterval(this.#timer), { once: true })
  }

  /** Deletes all that is too old now. */
  async prune(): Promise<void> {
    const oldestMs = Number(this.#nowUs() / 1_000n) - this.#windowMs - sparedMs
    while (!this.#signal.aborted) {
      const { rowCount } = await this.#pool.query(
        `delete from request where request_id in (
          select request_id from request where request_id < $1::uuid order by request_id limit $2::int4)`,
        [firstIdOf(oldestMs), rowsAtATime],
      )
      if ((rowCount ?? 0) < rowsAtATime) return
      await sleep(restMs, undefined, { signal: this.#signal })
    }
  }

  /** Waits for what it is doing. */
  async settled(): Promise<void> {
    await this.#work
  }

  #begin(): void {
    this.#work ??= this.prune()
      .catch(() => undefined) // the next time will do
      .finally(() => {
        this.#work = null
      })
  }
}

/** The least UUID of version 7 with a time. */
function firstIdOf(timeMs: number): string {
  const time = Math.max(0, timeMs).toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`
}
