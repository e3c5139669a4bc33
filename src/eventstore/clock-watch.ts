import type { ClockJump } from './event-store-options.ts'

/** What the watch looks at. */
export interface ClockWatchParts {
  /** Wall clock, microseconds since 1970. */
  readonly nowUs: () => bigint
  /** Milliseconds that never step back. */
  readonly monotonicMs: () => number
  readonly clockJumpMs: number
  readonly onJump: (jump: ClockJump) => void
}

// Between two looks a clock that is slewed, not set, goes wrong by milliseconds only.
const lookEveryMs = 5_000

/** Notices when the wall clock steps back, or leaps against the monotonic one: at every look, and it looks by itself now and then. */
export class ClockWatch {
  readonly #parts: ClockWatchParts
  readonly #timer: NodeJS.Timeout
  #wallUs: bigint
  #monotonicMs: number

  constructor(parts: ClockWatchParts) {
    this.#parts = parts
    this.#wallUs = parts.nowUs()
    this.#monotonicMs = parts.monotonicMs()
    this.#timer = setInterval(() => this.look(), lookEveryMs).unref()
  }

  /** The wall clock as it is now. */
  look(): bigint {
    const { nowUs, monotonicMs, clockJumpMs, onJump } = this.#parts
    const newUs = nowUs()
    const oldUs = this.#wallUs
    const atMs = monotonicMs()
    const differenceUs = newUs - oldUs - BigInt(Math.round((atMs - this.#monotonicMs) * 1_000))
    this.#wallUs = newUs
    this.#monotonicMs = atMs
    const limitUs = BigInt(clockJumpMs) * 1_000n
    if (newUs < oldUs || differenceUs > limitUs || differenceUs < -limitUs) onJump({ oldUs, newUs, differenceUs })
    return newUs
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
