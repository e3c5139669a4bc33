import type pg from 'pg'
import type { CommitStatement } from '../eventstore/commit-participant.ts'
import { CommitStatementComposer } from '../eventstore/commit-statement.ts'
import type { LogReader } from '../eventstore/log-reader.ts'
import { postgresFailure } from '../eventstore/postgres-failure.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import type { Projection } from './projection.ts'
import type { ProjectionRun } from './projection-run.ts'
import { type RunTarget, runStatements } from './run-target.ts'

/** How far a catch-up is. */
export interface CatchUpProgress {
  readonly projections: readonly string[]
  readonly position: bigint
  readonly target: bigint
}

/** What is to be caught up, from the event after `from` to the one at `to`. */
export interface CatchUp {
  readonly run: ProjectionRun
  readonly only: ReadonlySet<Projection>
  readonly target: RunTarget
  readonly reader: LogReader
  readonly from: bigint
  readonly to: bigint
  /** What goes into the transaction of each batch beside the rows: the projections' own positions. */
  readonly record: (step: { readonly from: bigint; readonly to: bigint }) => readonly CommitStatement[]
  readonly onProgress?: (progress: CatchUpProgress) => void
  readonly signal?: AbortSignal
}

const batchEvents = 1_000

/** Takes recorded events into projections that are behind, batch by batch, each in one transaction with its position. */
export async function catchUp(work: CatchUp): Promise<void> {
  const step = new CatchUpStep(work)
  let batch: RecordedEvent[] = []
  if (work.from >= work.to) return
  for await (const event of work.reader.readAll({ from: work.from + 1n })) {
    if (event.position > work.to) break
    batch.push(event)
    if (batch.length < batchEvents && event.position < work.to) continue
    work.signal?.throwIfAborted()
    await step.take(batch)
    batch = []
    work.onProgress?.({
      projections: [...work.only].map(({ name }) => name),
      position: event.position,
      target: work.to,
    })
  }
}

class CatchUpStep {
  readonly #work: CatchUp
  readonly #composer = new CommitStatementComposer()

  constructor(work: CatchUp) {
    this.#work = work
  }

  /** Takes a batch; where the database refuses it for its content, one event after the other, so that only what is to blame is left out. */
  async take(events: readonly RecordedEvent[]): Promise<void> {
    try {
      await this.#write(events)
    } catch (error) {
      this.#work.run.dropped()
      if (postgresFailure(error) !== 'poison') throw error
      for (const event of events) await this.#takeAlone(event)
    }
  }

  async #takeAlone(event: RecordedEvent): Promise<void> {
    try {
      await this.#write([event])
    } catch (error) {
      this.#work.run.dropped()
      if (postgresFailure(error) !== 'poison' || !(error instanceof Error)) throw error
      await this.#write([event], error)
    }
  }

  async #write(events: readonly RecordedEvent[], poison?: Error): Promise<void> {
    const { run, only, target, record } = this.#work
    const first = events[0]
    const last = events.at(-1)
    if (first === undefined || last === undefined) return
    run.take(events, { kind: 'fact', only, ...(poison === undefined ? {} : { poison }) })
    const step = { from: first.position - 1n, to: last.position }
    const statements = [...runStatements(run, target), ...record(step)]
    if (statements.length > 0) await query(target.pool, this.#composer.compose(statements))
    run.committed()
  }
}

async function query(pool: pg.Pool, statement: ReturnType<CommitStatementComposer['compose']>): Promise<void> {
  await pool.query({ text: statement.text, values: [...statement.values] })
}
