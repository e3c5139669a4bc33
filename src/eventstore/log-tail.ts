import { LogCorruptError } from './append-errors.ts'
import { EventRing, type RingLimits } from './event-ring.ts'
import type { EventRows } from './event-rows.ts'
import type { LiveLog } from './live-log.ts'
import { mostPageEvents } from './passages.ts'
import { readStatements } from './read-statements.ts'

/** Says early that there may be something new; nothing depends on it but how soon that is seen. */
export interface HeadHints {
  /** Whether hints can be expected now: then the table is asked seldom. */
  readonly areComing: boolean
  /** Begins, and calls back at each hint and when hints stop coming. */
  start(onHint: () => void): void
  stop(): void
}

// How long the table is not looked at: soon again after an event, ever later while there is none; seldom while hints come.
const shortestPollMs = 5
const longestPollMs = 250
const hintedPollMs = 1_000
const longestRetryMs = 1_000

/**
 * Follows the log from another process than the writer's: reads what is new once for all who follow, by primary key. Hints only say when
 * to look; without them it looks every 5 to 250 ms. It reads only while somebody follows.
 */
export class LogTail implements LiveLog {
  readonly ring: EventRing
  readonly #rows: EventRows
  readonly #hints: HeadHints | null
  #followers = 0
  #run: TailRun | null = null
  #work: Promise<void> = Promise.resolve()

  constructor(rows: EventRows, options: { readonly limits: RingLimits; readonly hints?: HeadHints | undefined }) {
    this.#rows = rows
    this.#hints = options.hints ?? null
    this.ring = new EventRing(options.limits)
  }

  async join(signal: AbortSignal): Promise<() => void> {
    this.#followers += 1
    const run = this.#run ?? this.#start()
    const ended = Promise.withResolvers<void>()
    const end = (): void => ended.resolve()
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    await Promise.race([run.started, ended.promise])
    signal.removeEventListener('abort', end)
    return () => {
      this.#followers -= 1
      if (this.#followers === 0) this.#stop()
    }
  }

  async close(): Promise<void> {
    this.#stop()
    await this.#work
  }

  #start(): TailRun {
    const run = new TailRun(this.#rows, { ring: this.ring, hints: this.#hints })
    const before = this.#work
    this.#run = run
    this.#work = before.then(async () => await run.work())
    return run
  }

  #stop(): void {
    this.#run?.stop()
    this.#run = null
    this.ring.restart(null)
  }
}

/** The work from the first follower until the last one has left. */
class TailRun {
  /** Resolves once the ring is fed, or the run is over. */
  readonly started: Promise<void>
  readonly #rows: EventRows
  readonly #ring: EventRing
  readonly #hints: HeadHints | null
  readonly #start: () => void
  #isOver = false
  #isHinted = false
  #wake: () => void = () => undefined

  constructor(rows: EventRows, { ring, hints }: { readonly ring: EventRing; readonly hints: HeadHints | null }) {
    this.#rows = rows
    this.#ring = ring
    this.#hints = hints
    const { promise, resolve } = Promise.withResolvers<void>()
    this.started = promise
    this.#start = resolve
  }

  stop(): void {
    this.#isOver = true
    this.#hints?.stop()
    this.#start()
    this.#wake()
  }

  async work(): Promise<void> {
    let failures = 0
    if (this.#isOver) return
    this.#hints?.start(() => {
      this.#isHinted = true
      this.#wake()
    })
    while (!this.#isOver) {
      try {
        await this.#follow()
        failures = 0
      } catch (error) {
        // The database is away: who follows waits for it to come back. Where events are missing, who follows is to find that out.
        if (error instanceof LogCorruptError) this.#ring.restart(null)
        failures += 1
        await this.#pause(Math.min(shortestPollMs * 2 ** failures, longestRetryMs))
      }
    }
  }

  async #follow(): Promise<void> {
    if (this.#ring.next === null) {
      const head = await this.#rows.head()
      if (this.#isOver) return
      this.#ring.restart(head + 1n)
      this.#start()
    }
    let pollMs = shortestPollMs
    while (!this.#isOver && this.#ring.next !== null) {
      this.#isHinted = false
      const count = await this.#readNew()
      if (count === mostPageEvents || this.#isHinted) continue
      pollMs = count > 0 ? shortestPollMs : Math.min(pollMs * 2, longestPollMs)
      await this.#pause(this.#hints?.areComing === true ? hintedPollMs : pollMs)
    }
  }

  async #readNew(): Promise<number> {
    const first = this.#ring.next ?? 0n
    const last = first + BigInt(mostPageEvents) - 1n
    const { events } = await this.#rows.read(readStatements.positions({ first, last, direction: 'forwards' }))
    if (!this.#isOver) this.#ring.push(events)
    return events.length
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isOver) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = () => undefined
  }
}
