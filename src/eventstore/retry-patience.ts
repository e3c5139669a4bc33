import { setTimeout as sleep } from 'node:timers/promises'
import { postgresFailure } from './postgres-failure.ts'

const firstPauseMs = 25
const longestPauseMs = 1_000
const outageMs = 60_000

/** Tries again what failed because PostgreSQL was away, for a minute without any success; throws everything else, and then that too. */
export class RetryPatience {
  #sinceMs: number | null = null
  #pauseMs = firstPauseMs

  /** It worked: the next failure is a new one. */
  reset(): void {
    this.#sinceMs = null
    this.#pauseMs = firstPauseMs
  }

  /** Waits before the next try, or throws the error. Ends early when the signal says so. */
  async wait(error: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const now = performance.now()
    this.#sinceMs ??= now
    if (!isOutage(error) || now - this.#sinceMs > outageMs) throw error
    await sleep(this.#pauseMs, undefined, { signal }).catch(() => undefined)
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs)
  }
}

/** What a socket or the driver throws is a plain error, or has a code; errors of this program have classes of their own. */
function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error.constructor !== Error && !('code' in error)) return false
  return ['lost', 'refused'].includes(postgresFailure(error))
}
