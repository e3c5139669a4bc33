import { setTimeout as sleep } from 'node:timers/promises'
import type { LogAlarm } from '../eventstore/event-store-options.ts'
import type { LogReader } from '../eventstore/log-reader.ts'
import { messageOf, postgresFailure } from '../eventstore/postgres-failure.ts'
import { BatchTaker } from './batch-taker.ts'
import type { DeadLetter } from './dead-letters.ts'
import { type EventBatch, readHandledEvents } from './handled-events.ts'
import { Mutex } from './mutex.ts'
import { PartialTables } from './partial-tables.ts'
import { movePosition, readDeadLetters, readPosition } from './projection-book.ts'
import { type Decode, ProjectionRun } from './projection-run.ts'
import { readAllColumns } from './projection-tables.ts'
import type { Projection } from './projection.ts'
import { ReadModelRefusal } from './read-model-refusal.ts'
import { columnsOf, letterStatements, type RunTarget } from './run-target.ts'
import { withClient } from './with-client.ts'

/** What a background projection works with. */
export interface BackgroundParts {
  readonly projection: Projection
  readonly decode: Decode
  readonly pool: RunTarget['pool']
  readonly reader: LogReader
  /** The end of the log as far as it is committed. */
  readonly head: () => bigint
  /** Builds the tables from position 0 and puts them in place: they are another version's, or far behind. */
  readonly rebuild: (signal: AbortSignal) => Promise<void>
  readonly onQuarantine: (letter: DeadLetter) => void
  readonly onAlarm: (alarm: LogAlarm) => void
}

/** What a background projection is doing: `stopped` before it is started and after it was ended, `waiting` after a failure. */
export type BackgroundActivity = 'stopped' | 'building' | 'following' | 'waiting'

const batchEvents = 500
/** Rows of each table that are in memory. */
const maxRows = 50_000
/** Commits that come within this time are taken in together. */
const coalesceMs = 20
/** Longest time for which the table says less of the position than is true, where nothing else was to be written. */
const positionMs = 1_000
const positionEvents = 10_000n
const firstBackoffMs = 100
const longestBackoffMs = 10_000
/** So far behind, tables are built sooner than they catch up. */
const rebuildEvents = 50_000n

/**
 * One projection that follows the log behind the writer: batch by batch, rows and position in one transaction in which the position must be
 * the one it started from, so that of two who follow one loses, cleanly.
 */
export class BackgroundProjection {
  activity: BackgroundActivity = 'stopped'
  readonly projection: Projection
  readonly #parts: BackgroundParts
  readonly #mutex = new Mutex()
  readonly #partial = new PartialTables({ maxRows })
  readonly #run: ProjectionRun
  #target: RunTarget | null = null
  #taker: BatchTaker | null = null
  /** What the tables say. */
  #written = -1n
  /** Up to here nothing is missing in the tables. */
  #position = -1n
  #writtenAtMs = 0
  #wake = Promise.withResolvers<void>()
  #waiting: { readonly position: bigint; readonly resolve: () => void }[] = []
  #work: Promise<void> = Promise.resolve()

  constructor(parts: BackgroundParts) {
    this.#parts = parts
    this.projection = parts.projection
    this.#run = new ProjectionRun({
      projections: [parts.projection],
      decode: parts.decode,
      check: (table, row) => columnsOf(this.#opened, table).check(row),
      onQuarantine: parts.onQuarantine,
      partial: this.#partial,
    })
  }

  /** The tables hold all that the log says up to here. */
  get position(): bigint {
    return this.#position
  }

  /** The quarantined streams. */
  get deadLetters(): ReadonlyMap<string, DeadLetter> {
    return this.#run.deadLetters
  }

  /** The tables that serve; null where they are another version's. */
  get target(): RunTarget | null {
    return this.#target
  }

  /** Reads where the tables are. */
  async open(): Promise<void> {
    const { projection, pool } = this.#parts
    await this.#mutex.run(async () => {
      await withClient(pool, async (client) => {
        const row = await readPosition(client, projection)
        this.#target = null
        this.#partial.clear([...this.#run.histories.values()].map(({ overlay }) => overlay))
        if (row === null) return
        const columns = await readAllColumns(client, { schema: 'public', projections: [projection] })
        this.#run.letters.replace(projection.name, await readDeadLetters(client, [projection]))
        this.#target = { pool, schema: 'public', columns }
        this.#taker = this.#newTaker(this.#target)
        this.#written = row
        this.#reached(row)
      })
    })
  }

  /** Follows the log until the signal ends it. */
  start(signal: AbortSignal): void {
    if (this.activity !== 'stopped') return
    this.activity = 'following'
    signal.addEventListener('abort', () => this.wake(), { once: true })
    this.#work = this.#follow(signal).finally(() => {
      this.activity = 'stopped'
    })
  }

  /** Resolves when it has ended, after {@link start}'s signal. */
  async ended(): Promise<void> {
    await this.#work
  }

  /** Says that there are new events. */
  wake(): void {
    this.#wake.resolve()
  }

  /** Waits until the tables hold what the log says up to a position. Throws after the limit. */
  async reach(position: bigint, { limitMs }: { readonly limitMs: number }): Promise<void> {
    if (this.#position >= position) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiting = { position, resolve }
    this.#waiting.push(waiting)
    const timer = setTimeout(resolve, limitMs)
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#waiting = this.#waiting.filter((each) => each !== waiting)
    }
    if (this.#position >= position) return
    throw new ReadModelRefusal(
      `Cannot look at position ${position} of projection "${this.projection.name}": it is ${this.activity}, at position ${this.#position}, and did not get there within ${limitMs} ms`,
    )
  }

  /** Runs an action between two batches, and reads afterwards where the tables are. */
  async between<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await this.#mutex.run(action)
    } finally {
      await this.open()
    }
  }

  get #opened(): RunTarget {
    if (this.#target === null) throw new Error(`Cannot use projection "${this.projection.name}": it is not open`)
    return this.#target
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for (let backoffMs = firstBackoffMs; !signal.aborted; backoffMs = Math.min(backoffMs * 2, longestBackoffMs)) {
      try {
        await this.#rebuildWhereNeeded(signal)
        while (!signal.aborted) {
          await this.#round(signal)
          backoffMs = firstBackoffMs
        }
      } catch (error) {
        if (signal.aborted) return
        this.activity = 'waiting'
        const why = postgresFailure(error) === 'conflict' ? 'another process follows it too' : messageOf(error)
        const text = `Projection "${this.projection.name}" stopped at position ${this.#position}: ${why}; it goes on in ${backoffMs} ms`
        this.#parts.onAlarm({ kind: 'projection-failed', text, ...(error instanceof Error ? { error } : {}) })
        await sleep(backoffMs, undefined, { signal }).catch(() => undefined)
        await this.open().catch(() => undefined)
      }
    }
  }

  async #rebuildWhereNeeded(signal: AbortSignal): Promise<void> {
    const far = this.#position === -1n && this.#parts.head() > rebuildEvents
    if (this.#target === null || far) {
      this.activity = 'building'
      await this.#parts.rebuild(signal)
      await this.open()
    }
    this.activity = 'following'
  }

  /** Takes in what there is, then waits for more. */
  async #round(signal: AbortSignal): Promise<void> {
    const { reader, head } = this.#parts
    const reading = { projections: [this.projection], from: this.#position + 1n, to: head(), batchEvents, signal }
    let before = this.#position
    for await (const batch of readHandledEvents(reader, reading)) {
      const isNext = await this.#mutex.run(() => this.#take(batch, before))
      if (!isNext || signal.aborted) return
      before = batch.through
    }
    const now = performance.now()
    if (this.#position > this.#written && now - this.#writtenAtMs >= positionMs) {
      await this.#mutex.run(() => this.#write({ events: [], through: this.#position }))
    }
    if (head() > this.#position) return
    const timer = setTimeout(() => this.wake(), positionMs)
    timer.unref()
    await this.#wake.promise
    clearTimeout(timer)
    if (head() > this.#position) await sleep(coalesceMs, undefined, { signal }).catch(() => undefined)
    this.#wake = Promise.withResolvers()
  }

  /** Takes a batch; false where the tables were switched since it was asked for. */
  async #take(batch: EventBatch, before: bigint): Promise<boolean> {
    if (this.#position !== before) return false
    const due = batch.through - this.#written >= positionEvents
    if (batch.events.length > 0 || due) await this.#write(batch)
    this.#reached(batch.through)
    return true
  }

  #reached(reached: bigint): void {
    this.#position = reached
    for (const { position, resolve } of this.#waiting) if (reached >= position) resolve()
  }

  async #write(batch: EventBatch): Promise<void> {
    await this.#taker?.take(batch, this.#written)
    this.#written = batch.through
    this.#writtenAtMs = performance.now()
  }

  #newTaker(target: RunTarget): BatchTaker {
    const only = new Set([this.projection])
    const run = this.#run
    return new BatchTaker({
      ...{ run, only, target, reader: this.#parts.reader, partial: this.#partial, lazily: true },
      record: (step) => [movePosition(only, step), ...letterStatements(run.letters.changes)],
    })
  }
}
