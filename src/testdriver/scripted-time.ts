import type { Timer, Timers } from '../util/timers.ts'

interface Planned {
  readonly atMs: number
  readonly order: number
  readonly action: () => void
}

/** Time that stands still until it is told to pass. Actions run in the order in which they are due, each at its own time. */
export class ScriptedTime implements Timers {
  #nowMs: number
  #order = 0
  readonly #planned = new Set<Planned>()

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  /** Actions that are planned; a test that ends with some left has a task that was never stopped. */
  get plannedCount(): number {
    return this.#planned.size
  }

  after(delayMs: number, action: () => void): Timer {
    const planned: Planned = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order, action }
    this.#order += 1
    this.#planned.add(planned)
    return { cancel: () => void this.#planned.delete(planned) }
  }

  /** Lets this much time pass. Promises settle between two actions, so that what they plan is played too. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await settlePromises()
    for (let next = this.#nextUntil(endMs); next !== null; next = this.#nextUntil(endMs)) {
      this.#planned.delete(next)
      this.#nowMs = next.atMs
      next.action()
      await settlePromises()
    }
    this.#nowMs = endMs
  }

  #nextUntil(endMs: number): Planned | null {
    let first: Planned | null = null
    for (const planned of this.#planned) {
      if (planned.atMs > endMs) continue
      if (first === null || planned.atMs < first.atMs || (planned.atMs === first.atMs && planned.order < first.order)) {
        first = planned
      }
    }
    return first
  }
}

/** All promise reactions that are due, and those that they cause, run before the next turn of the event loop. */
function settlePromises(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
