/** A deferred action that can still be called off. */
export interface Timer {
  cancel(): void
}

/** Time as something to wait for, so that tests can play it by hand. */
export interface Timers {
  /** Wall-clock milliseconds since the epoch. */
  nowMs(): number
  /** Runs an action once, after at least this long. It never keeps the process alive. */
  after(delayMs: number, action: () => void): Timer
}

// Longer delays overflow Node's timer and would fire at once.
const maxDelayMs = 2 ** 31 - 1

/** The timers of this machine. */
export const systemTimers: Timers = {
  nowMs: () => Date.now(),
  after(delayMs, action) {
    const handle = setTimeout(action, Math.min(delayMs, maxDelayMs))
    handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}
