import type {
  CommitParticipant,
  CommitStatement,
  LogAlarm,
  ParticipantContext,
  StagedRequest,
} from '../eventstore/commit-participant.ts'
import { BoundedMap } from '../eventstore/bounded-map.ts'
import { readSqlFiles } from '../eventstore/package-files.ts'
import type { LogHead } from '../eventstore/recorded-event.ts'
import { type CatchUpProgress, catchUp } from './catch-up.ts'
import { decodeRecorded } from './memory-read-models.ts'
import type { Projection } from './projection.ts'
import { enterLive, leaveLive, movePosition, preparePositions, readDeadLetters } from './projection-book.ts'
import { type DeadLetter, letterKey } from './dead-letters.ts'
import { type Decode, ProjectionRun } from './projection-run.ts'
import { loadRows, readAllColumns } from './projection-tables.ts'
import { type ReplayReport, replayCheck } from './replay-check.ts'
import { RowSet } from './row-set.ts'
import { columnsOf, letterStatements, runStatements, type RunTarget } from './run-target.ts'
import type { AnyTable } from './table.ts'
import { type PastView, RowsView, type View } from './view.ts'
import { withClient } from './with-client.ts'

/** How the read models are made. */
export interface ReadModelsOptions {
  readonly projections: readonly Projection[]
  /** How recorded events are read; by the catalogue unless told. */
  readonly decode?: Decode
  /** The SQL that makes a projection's tables; `projections/<name>.sql` (with dashes) unless told. */
  readonly sqlOf?: (projection: Projection) => Promise<string>
  readonly onAlarm?: (alarm: LogAlarm) => void
  /** Hears how a rebuild at open gets on. */
  readonly onProgress?: (progress: CatchUpProgress) => void
  /** Moments of the past whose rows are kept in memory. */
  readonly cachedMoments?: number
}

/** A moment of the past: the state right after an event, or as of a time (microseconds since 1970). */
export type PastMoment = { readonly position: bigint } | { readonly timeUs: bigint }

/** The read models that serve the daemon: rows in memory and in tables, changed in the transaction of every commit. */
export class ReadModels implements CommitParticipant {
  readonly name = 'readmodel'
  /** The present, as of the last commit. */
  readonly view: View
  /** For decisions inside the commit turn: the present with what this batch has changed so far. */
  readonly turnView: View
  readonly #options: ReadModelsOptions
  readonly #decode: Decode
  readonly #run: ProjectionRun
  readonly #moments: BoundedMap<bigint, Promise<PastView>>
  #open: {
    readonly context: ParticipantContext
    readonly target: RunTarget
    readonly sql: ReadonlyMap<Projection, string>
  } | null = null
  #position = -1n
  #stagedPosition = -1n

  constructor(options: ReadModelsOptions) {
    this.#options = options
    this.#decode = options.decode ?? decodeRecorded
    this.#moments = new BoundedMap(options.cachedMoments ?? 8)
    this.#run = new ProjectionRun({
      projections: options.projections,
      decode: this.#decode,
      check: (table, row) => columnsOf(this.#target, table).check(row),
      onQuarantine: (letter) => this.#report(letter),
    })
    this.view = new RowsView((table) => this.#run.overlay(table).base)
    this.turnView = new RowsView((table) => this.#run.overlay(table))
  }

  /** The last event in the present view. */
  get position(): bigint {
    return this.#position
  }

  /** The streams that projections do not follow any more. */
  get deadLetters(): readonly DeadLetter[] {
    return [...this.#run.deadLetters.values()]
  }

  fence(before: LogHead): readonly CommitStatement[] {
    return [leaveLive(before)]
  }

  /** Loads the current rows, rebuilds what has another version, and catches up with the log. */
  async open(context: ParticipantContext): Promise<void> {
    const { projections } = this.#options
    const sql = await this.#readSql()
    const sqlOf = async (projection: Projection) => sql.get(projection) ?? ''
    const schema = 'public'
    const { positions, target } = await withClient(context.pool, async (client) => {
      const prepared = await preparePositions(client, projections, { schema, sqlOf })
      const columns = await readAllColumns(client, { schema, projections })
      for (const [table, tableColumns] of columns) {
        await loadRows(client, { schema, columns: tableColumns, into: this.#run.overlay(table).base })
      }
      for (const letter of await readDeadLetters(client, projections)) {
        this.#run.deadLetters.set(letterKey(letter.projection, letter.stream), letter)
      }
      return { positions: prepared, target: { pool: context.pool, schema, columns } }
    })
    this.#open = { context, target, sql }
    await this.#catchUp(context, positions)
    await withClient(context.pool, (client) => enterLive(client, projections, context.head))
    this.#position = context.head.position
  }

  stage({ events, kind, poison }: StagedRequest): () => void {
    const before = this.#stagedPosition
    const undo = this.#run.take(events, { kind, ...(poison === undefined ? {} : { poison }) })
    this.#stagedPosition = events.at(-1)?.position ?? before
    return () => {
      this.#stagedPosition = before
      undo()
    }
  }

  statements(): readonly CommitStatement[] {
    return [...runStatements(this.#run, this.#target), ...letterStatements(this.#run.letters.changes)]
  }

  committed(): void {
    this.#run.committed()
    this.#position = this.#stagedPosition
  }

  dropped(): void {
    this.#run.dropped()
  }

  /** The rows as they were at a moment of the past; kept for the next who asks. A moment that has not come yet is refused. */
  async asOf(moment: PastMoment): Promise<PastView> {
    const position = 'position' in moment ? moment.position : await this.#opened.context.positionAt(moment.timeUs)
    if (position > this.#position || position < -1n) {
      throw new Error(`Cannot look at position ${position}: the log has positions 0 to ${this.#position}`)
    }
    const known = this.#moments.get(position)
    if (known !== undefined) return known
    const loading = this.#load(position)
    this.#moments.set(position, loading)
    loading.catch(() => this.#moments.delete(position))
    return loading
  }

  /** Replays the whole log into shadow tables and compares them, and the rows in memory, with what serves. */
  replayCheck(
    options: { readonly onProgress?: (progress: CatchUpProgress) => void; readonly signal?: AbortSignal } = {},
  ): Promise<ReplayReport> {
    const { context, target, sql } = this.#opened
    return replayCheck({
      projections: this.#options.projections,
      decode: this.#decode,
      sql,
      target,
      reader: context.reader,
      live: this.#run,
      position: () => this.#position,
      ...options,
    })
  }

  get #opened() {
    if (this.#open === null) throw new Error('Cannot use the read models: they are not open yet')
    return this.#open
  }

  get #target(): RunTarget {
    return this.#opened.target
  }

  /** Projections at the same position go together; mostly that is all of them, one commit behind. */
  async #catchUp(
    { reader, head, signal }: ParticipantContext,
    positions: ReadonlyMap<Projection, bigint>,
  ): Promise<void> {
    const onProgress = this.#options.onProgress
    for (const from of new Set(positions.values())) {
      const only = new Set(this.#options.projections.filter((projection) => positions.get(projection) === from))
      await catchUp({
        run: this.#run,
        only,
        target: this.#target,
        reader,
        from,
        to: head.position,
        record: (step) => [movePosition(only, step), ...letterStatements(this.#run.letters.changes)],
        signal,
        ...(onProgress === undefined ? {} : { onProgress }),
      })
    }
  }

  async #load(position: bigint): Promise<PastView> {
    const { pool, schema } = this.#target
    const rows = new Map<AnyTable, RowSet>()
    for (const [table, columns] of this.#target.columns) {
      const into = new RowSet(table)
      await loadRows(pool, { schema, columns, into, at: position })
      rows.set(table, into)
    }
    const view = new RowsView((table) => rows.get(table) ?? missing(table))
    return Object.assign(view, { position })
  }

  async #readSql(): Promise<ReadonlyMap<Projection, string>> {
    const { projections, sqlOf } = this.#options
    if (sqlOf !== undefined) {
      return new Map(await Promise.all(projections.map(async (each) => [each, await sqlOf(each)] as const)))
    }
    const files = await readSqlFiles('projections')
    const found = projections.map((projection) => {
      const wanted = `${projection.name.replaceAll('_', '-')}.sql`
      const file = files.find(({ name }) => name === wanted)
      if (file === undefined)
        throw new Error(`Cannot open projection "${projection.name}": projections/${wanted} does not exist`)
      return [projection, file.text] as const
    })
    return new Map(found)
  }

  #report(letter: DeadLetter): void {
    const text = `Projection "${letter.projection}" cannot follow stream "${letter.stream}" from position ${letter.position} on: ${letter.error}`
    this.#options.onAlarm?.({ kind: 'quarantined', text })
  }
}

function missing(table: AnyTable): never {
  throw new Error(`Cannot find the rows of "${table.name}": no projection here has that table`)
}
