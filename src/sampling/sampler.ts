import type { DomainSample, Driver } from '../driver/driver.ts'
import type { Timers } from '../util/timers.ts'
import { untilAborted } from '../util/until-aborted.ts'
import { SampleSlots } from './sample-slots.ts'

/** The last reading of a running domain. */
export interface LastSample {
  readonly sample: DomainSample
  /** When the answer came. */
  readonly takenAtMs: number
  /** Begin of the first request that got no answer since; null while the domain answers. */
  readonly silentSinceMs: number | null
}

/** What a sampler is made of. */
export interface SamplerOptions {
  readonly driver: Pick<Driver, 'sample'>
  readonly timers: Timers
  /** Between two readings of one domain. */
  readonly intervalMs?: number
  /** After this a reading is given up. */
  readonly deadlineMs?: number
  /** A silent domain is asked less and less often, at least this often. */
  readonly maxIntervalMs?: number
  /** Readings that may begin at a time. */
  readonly maxConcurrent?: number
  /** Told once when a domain falls silent, with the error of the reading that failed. */
  readonly onSilent?: (silence: { readonly uuid: string; readonly sinceMs: number; readonly error: unknown }) => void
}

/** How fresh a reading must be and how long to wait for it. */
export interface RefreshOptions {
  readonly maxAgeMs: number
  readonly deadlineMs: number
}

interface Task {
  readonly uuid: string
  readonly stop: AbortController
  last: { readonly sample: DomainSample; readonly takenAtMs: number } | null
  silentSinceMs: number | null
  failures: number
  /** Begin of the reading that is under way. */
  askedAtMs: number | null
  /** Settles when the reading that is under way, or else the next one, has ended. */
  attempt: PromiseWithResolvers<void>
  /** When the last reading ended. */
  endedAtMs: number
  /** Gives up the reading that is under way. */
  request: AbortController
  /** Ends the pause between two readings. */
  pause: AbortController
}

// A reading of a healthy domain takes a few milliseconds.
const slotMs = 50

/**
 * Keeps the last statistics of every running domain, in memory only. Each domain has a task of its own, which asks, waits up to a deadline
 * and pauses: so there is never more than one request to a domain, and one that does not answer delays no other.
 */
export class Sampler {
  readonly #options: Required<SamplerOptions>
  readonly #slots: SampleSlots
  readonly #tasks = new Map<string, Task>()
  /** Loops by domain; a stopped one stays until its last request has ended. */
  readonly #loops = new Map<string, Promise<void>>()

  constructor(options: SamplerOptions) {
    this.#options = {
      intervalMs: 1000,
      deadlineMs: 2000,
      maxIntervalMs: 15_000,
      maxConcurrent: 16,
      onSilent: () => {},
      ...options,
    }
    this.#slots = new SampleSlots({ max: this.#options.maxConcurrent, holdMs: slotMs, timers: options.timers })
  }

  /** Begins to sample a domain that runs, the first time at once. Does nothing when it is sampled already. */
  start(uuid: string): void {
    if (this.#tasks.has(uuid)) return
    const task: Task = {
      uuid,
      stop: new AbortController(),
      last: null,
      silentSinceMs: null,
      failures: 0,
      askedAtMs: null,
      endedAtMs: 0,
      attempt: Promise.withResolvers<void>(),
      request: new AbortController(),
      pause: new AbortController(),
    }
    this.#tasks.set(uuid, task)
    const loop = this.#run(task, this.#loops.get(uuid)).finally(() => {
      if (this.#loops.get(uuid) === loop) this.#loops.delete(uuid)
    })
    this.#loops.set(uuid, loop)
  }

  /** Ends the sampling of a domain and forgets its statistics. */
  stop(uuid: string): void {
    const task = this.#tasks.get(uuid)
    if (task === undefined) return
    this.#tasks.delete(uuid)
    task.stop.abort()
    task.request.abort()
    task.pause.abort()
    task.attempt.resolve()
  }

  /** The last reading, without waiting; null when the domain is not sampled or has not answered yet. */
  latest(uuid: string): LastSample | null {
    const task = this.#tasks.get(uuid)
    return task === undefined ? null : lastOf(task, task.silentSinceMs)
  }

  /**
   * A reading not older than `maxAgeMs` if the domain gives one within `deadlineMs`, else the last one with the time since when it has been silent.
   * For a domain that is known to be silent nothing is waited for. null as for {@link latest}.
   */
  async refresh(uuid: string, { maxAgeMs, deadlineMs }: RefreshOptions): Promise<LastSample | null> {
    const task = this.#tasks.get(uuid)
    if (task === undefined) return null
    const { timers, intervalMs } = this.#options
    if (this.#isFresh(task, maxAgeMs) && task.silentSinceMs === null) return lastOf(task, null)
    if (task.silentSinceMs !== null) {
      // Somebody looks: a domain that is back must not wait for the end of a long pause.
      if (timers.nowMs() - task.endedAtMs >= intervalMs) task.pause.abort()
      return lastOf(task, task.silentSinceMs)
    }
    const asked = task.attempt.promise
    task.pause.abort()
    const { promise: timeout, resolve } = Promise.withResolvers<void>()
    const timer = timers.after(deadlineMs, resolve)
    await Promise.race([asked, timeout])
    timer.cancel()
    if (task.stop.signal.aborted) return null
    const isAnswered = this.#isFresh(task, maxAgeMs + deadlineMs)
    return lastOf(task, task.silentSinceMs ?? (isAnswered ? null : task.askedAtMs))
  }

  /** Ends all sampling; returns when no request is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const uuid of this.#tasks.keys()) this.stop(uuid)
    await Promise.all(this.#loops.values())
  }

  async #run(task: Task, previous: Promise<void> | undefined): Promise<void> {
    // The domain was stopped and started again: its last request must end before the first of this run.
    await previous
    while (!task.stop.signal.aborted) {
      await this.#ask(task)
      if (task.stop.signal.aborted) return
      const { attempt } = task
      task.attempt = Promise.withResolvers<void>()
      task.pause = new AbortController()
      attempt.resolve()
      await this.#pause(task)
    }
  }

  async #ask(task: Task): Promise<void> {
    const { driver, timers, deadlineMs, onSilent } = this.#options
    const free = await this.#slots.take(task.stop.signal)
    if (task.stop.signal.aborted) return free()
    const request = new AbortController()
    task.request = request
    const timer = timers.after(deadlineMs, () => request.abort(new DOMException('deadline', 'TimeoutError')))
    const askedAtMs = timers.nowMs()
    task.askedAtMs = askedAtMs
    try {
      const sample = await driver.sample(task.uuid, request.signal)
      task.last = { sample, takenAtMs: timers.nowMs() }
      task.silentSinceMs = null
      task.failures = 0
    } catch (error) {
      task.failures += 1
      if (task.silentSinceMs === null && !task.stop.signal.aborted) {
        task.silentSinceMs = askedAtMs
        onSilent({ uuid: task.uuid, sinceMs: askedAtMs, error })
      }
    } finally {
      task.askedAtMs = null
      task.endedAtMs = timers.nowMs()
      timer.cancel()
      free()
    }
  }

  async #pause(task: Task): Promise<void> {
    const { timers, intervalMs, maxIntervalMs } = this.#options
    const forMs = Math.min(intervalMs * 2 ** Math.min(task.failures, 16), Math.max(intervalMs, maxIntervalMs))
    // Both ways out are good: the time is over, or somebody wants the next reading (or none) now.
    await untilAborted('pause between two readings', { signal: task.pause.signal, forMs, timers }).catch(() => {})
  }

  #isFresh(task: Task, maxAgeMs: number): boolean {
    return task.last !== null && this.#options.timers.nowMs() - task.last.takenAtMs <= maxAgeMs
  }
}

function lastOf(task: Task, silentSinceMs: number | null): LastSample | null {
  return task.last === null ? null : { ...task.last, silentSinceMs }
}
