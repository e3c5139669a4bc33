import type { Timers } from '../util/timers.ts'

/** Places in which readings begin; a place is given back by its holder or, at the latest, after a time. */
export interface SlotOptions {
  readonly max: number
  /** A reading that takes longer goes on without its place: slow ones must not hold up the others. */
  readonly holdMs: number
  readonly timers: Timers
}

/** Bounds how many readings begin at a time; who waits is served in order. */
export class SampleSlots {
  readonly #options: SlotOptions
  readonly #waiting = new Set<() => void>()
  #taken = 0

  constructor(options: SlotOptions) {
    this.#options = options
  }

  /** Waits for a place; what it gives frees the place, once. An aborted wait gets no place and ends as well. */
  async take(signal: AbortSignal): Promise<() => void> {
    if (this.#taken >= this.#options.max) await this.#turn(signal)
    if (signal.aborted) return () => {}
    this.#taken += 1
    let held = true
    const free = () => {
      if (!held) return
      held = false
      timer.cancel()
      this.#taken -= 1
      this.#callNext()
    }
    const timer = this.#options.timers.after(this.#options.holdMs, free)
    return free
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const leave = () => {
      this.#waiting.delete(resolve)
      resolve()
    }
    this.#waiting.add(resolve)
    signal.addEventListener('abort', leave, { once: true })
    await promise
    signal.removeEventListener('abort', leave)
  }

  #callNext(): void {
    const [next] = this.#waiting
    if (next === undefined) return
    this.#waiting.delete(next)
    next()
  }
}
