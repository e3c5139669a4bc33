import type { CommitStatement } from '../eventstore/commit-participant.ts'
import type { LogReader } from '../eventstore/log-reader.ts'
import { postgresFailure } from '../eventstore/postgres-failure.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { sendStatements } from '../eventstore/send-statements.ts'
import type { EventBatch } from './handled-events.ts'
import { letterKey } from './dead-letters.ts'
import { loadMissingRows } from './load-missing-rows.ts'
import { MissingRowsError, type PartialTables } from './partial-tables.ts'
import type { Projection } from './projection.ts'
import type { ProjectionRun } from './projection-run.ts'
import { readMissedEvents, resumptionOf, resumptionTypes } from './resumption.ts'
import { type RunTarget, runStatements } from './run-target.ts'
import { withClient } from './with-client.ts'

/** From where to where a batch leads: the position before it, and the last one that it covers. */
export interface BatchStep {
  readonly from: bigint
  readonly to: bigint
}

/** What takes batches of recorded events in. */
export interface BatchTakerParts {
  readonly run: ProjectionRun
  readonly only: ReadonlySet<Projection>
  readonly target: RunTarget
  readonly reader: LogReader
  /** What goes into the transaction of each batch beside the rows: the projections' own positions. */
  readonly record: (step: BatchStep) => readonly CommitStatement[]
  /** Where only some of the run's rows are in memory. */
  readonly partial?: PartialTables
  /** Does not wait for the disk: what a crash takes back, position and rows alike, is taken in again. */
  readonly lazily?: boolean
}

/** Takes batches of recorded events into projections, each in one transaction with their position. */
export class BatchTaker {
  readonly #parts: BatchTakerParts

  constructor(parts: BatchTakerParts) {
    this.#parts = parts
  }

  /** Takes a batch; where the database refuses it for its content, one event after the other, so that only what is to blame is left out. */
  async take({ events, through }: EventBatch, from: bigint): Promise<void> {
    const [first] = events
    if (first !== undefined && resumptionTypes.has(first.type)) await this.#readMissed(first)
    try {
      await this.#write(events, { from, to: through })
    } catch (error) {
      if (postgresFailure(error) !== 'poison') throw error
      await this.#takeEach(events, { from, to: through })
    } finally {
      this.#parts.run.missed.clear()
    }
  }

  async #takeEach(events: readonly RecordedEvent[], { from, to }: BatchStep): Promise<void> {
    let before = from
    for (const [at, event] of events.entries()) {
      const step = { from: before, to: at === events.length - 1 ? to : event.position }
      try {
        await this.#write([event], step)
      } catch (error) {
        if (postgresFailure(error) !== 'poison' || !(error instanceof Error)) throw error
        await this.#write([event], step, error)
      }
      before = step.to
    }
  }

  /** Writes all or nothing, and afterwards memory is as before or as written. */
  async #write(events: readonly RecordedEvent[], step: BatchStep, poison?: Error): Promise<void> {
    const { run, target, record, partial } = this.#parts
    try {
      await this.#takeIn(events, poison)
      // The position first: who comes too late loses by it, not by the rows of the other, which would look like poison.
      const statements = [...record(step), ...runStatements(run, target)]
      if (statements.length > 0) await this.#send(statements)
    } catch (error) {
      run.dropped()
      throw error
    }
    run.committed()
    partial?.trim([...run.histories.values()].map(({ overlay }) => overlay))
  }

  async #takeIn(events: readonly RecordedEvent[], poison?: Error): Promise<void> {
    const { run, only, partial } = this.#parts
    const options = { kind: 'fact', only, ...(poison === undefined ? {} : { poison }) } as const
    if (partial === undefined) {
      run.take(events, options)
      return
    }
    // One look ahead finds most of what the batch needs, so that it is loaded in one go.
    for (const event of events) {
      try {
        run.take([event], options)()
      } catch (error) {
        if (!(error instanceof MissingRowsError)) throw error
      }
    }
    await this.#loadMissing(partial)
    for (const event of events) {
      while (!this.#takes(event, options)) await this.#loadMissing(partial)
    }
  }

  #takes(event: RecordedEvent, options: Parameters<ProjectionRun['take']>[1]): boolean {
    try {
      this.#parts.run.take([event], options)
      return true
    } catch (error) {
      if (error instanceof MissingRowsError) return false
      throw error
    }
  }

  async #loadMissing(partial: PartialTables): Promise<void> {
    const { target, run } = this.#parts
    for (const [table, missing] of partial.takeMissing()) {
      await loadMissingRows(target, { table, missing, into: run.overlay(table).base })
      partial.loaded(table, missing)
    }
  }

  async #readMissed(event: RecordedEvent): Promise<void> {
    const { run, reader, only } = this.#parts
    const resumption = resumptionOf(event)
    if (resumption === null || ![...only].some(({ name }) => name === resumption.projection)) return
    const { projection, stream, position } = resumption
    const key = letterKey(projection, stream)
    if (run.letters.get(key)?.position !== position) return
    const missed = { projection, stream, from: position, end: event.position }
    run.missed.set(key, await readMissedEvents(reader, missed))
  }

  async #send(statements: readonly CommitStatement[]): Promise<void> {
    const { target, lazily = false } = this.#parts
    await withClient(target.pool, (client) =>
      sendStatements(client, lazily ? [withoutWaiting, ...statements] : statements),
    )
  }
}

const withoutWaiting: CommitStatement = {
  name: 'without_waiting',
  sql: "select set_config('synchronous_commit', 'off', true)",
  values: [],
  expectedRows: null,
}
