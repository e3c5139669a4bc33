import type {
  CommitParticipant,
  CommitStatement,
  ParticipantContext,
  StagedRequest,
} from '../eventstore/commit-participant.ts'
import type { LogAlarm } from '../eventstore/event-store-options.ts'
import type { LogHead } from '../eventstore/recorded-event.ts'
import { BackgroundProjection } from './background-projection.ts'
import { type CatchUpProgress, catchUp } from './catch-up.ts'
import { type BuildComparison, compareBuild } from './compare-build.ts'
import { type DeadLetter, letterKey } from './dead-letters.ts'
import { type ServingSwitched, switchLive } from './live-switch.ts'
import { decodeRecorded } from './memory-read-models.ts'
import { type OpeningProjections, openProjections, rebuildUnserved } from './open-projections.ts'
import { PastViews } from './past-views.ts'
import { type PreparedResumption, prepareResumption, resumedLater } from './prepare-resumption.ts'
import { type BuildProgress, buildProjection, buildSchema } from './projection-build.ts'
import { enterLive, leaveLive, movePosition, readDeadLetters } from './projection-book.ts'
import { type Decode, ProjectionRun } from './projection-run.ts'
import { readProjectionSql } from './projection-sql.ts'
import { type ProjectionProgress, progressOf } from './projection-progress.ts'
import { type ProjectionStatus, readProjectionStatus } from './projection-status.ts'
import { loadTables } from './load-tables.ts'
import { readAllColumns } from './projection-tables.ts'
import type { Projection } from './projection.ts'
import { ReadModelRefusal } from './read-model-refusal.ts'
import { type ReplayReport, replayCheck } from './replay-check.ts'
import { columnsOf, letterStatements, runStatements, type RunTarget } from './run-target.ts'
import { dropScratch } from './scratch-schema.ts'
import { switchBackground } from './background-switch.ts'
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
  /** Hears what an operator may want to know: builds that were taken over or discarded, views that had to go. */
  readonly onNote?: (text: string) => void
  /** Hears how a rebuild gets on. */
  readonly onProgress?: (progress: CatchUpProgress) => void
  /** Moments of the past whose rows are kept in memory. */
  readonly cachedMoments?: number
  /** Wall clock, microseconds since 1970. */
  readonly nowUs?: () => bigint
}

/** A moment of the past: the state right after an event, or as of a time (microseconds since 1970). */
export type PastMoment = { readonly position: bigint } | { readonly timeUs: bigint }

/** Which background projections a look at the past needs, and how long it may wait for them to get there (5 s unless told). */
export interface AsOfOptions {
  readonly background?: readonly Projection[]
  readonly waitMs?: number
}

/** What is to become of a rebuild: put in place, or dropped once it is compared. At most `listed` differences of each table are listed. */
export interface RebuildOptions {
  readonly then: 'switch' | 'drop'
  readonly listed?: number
  readonly onProgress?: (progress: BuildProgress) => void
  readonly signal?: AbortSignal
}

/** What a rebuild gave: how it differs from what served, and how it was put in place. */
export interface Rebuilt {
  readonly comparison: BuildComparison
  readonly switched: ServingSwitched | null
}

const waitMs = 5_000
const listedDifferences = 20
const switchLimitMs = 60_000

/**
 * The read models: live ones in memory and in tables, changed in the transaction of every commit; background ones in tables only, which
 * follow the log from {@link follow} on.
 */
export class ReadModels implements CommitParticipant {
  readonly name = 'readmodel'
  /** The present of the live projections, as of the last commit. */
  readonly view: View
  /** For decisions inside the commit turn: the present with what this batch has changed so far. */
  readonly turnView: View
  readonly #options: ReadModelsOptions
  readonly #decode: Decode
  readonly #live: readonly Projection[]
  readonly #background = new Map<Projection, BackgroundProjection>()
  readonly #run: ProjectionRun
  readonly #past: PastViews
  readonly #stop = new AbortController()
  #open: { readonly target: RunTarget; readonly opening: OpeningProjections } | null = null
  #position = -1n
  #stagedPosition = -1n

  constructor(options: ReadModelsOptions) {
    this.#options = options
    this.#decode = options.decode ?? decodeRecorded
    this.#past = new PastViews({ moments: options.cachedMoments ?? 8 })
    this.#live = options.projections.filter(({ live }) => live)
    this.#run = new ProjectionRun({
      projections: this.#live,
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
    const background = [...this.#background.values()].flatMap(({ deadLetters }) => [...deadLetters.values()])
    return [...this.#run.deadLetters.values(), ...background]
  }

  fence(before: LogHead): readonly CommitStatement[] {
    return [leaveLive(before)]
  }

  /** Loads the current rows, rebuilds live projections of another version, and catches up with the log. */
  async open(context: ParticipantContext): Promise<void> {
    const { projections, sqlOf, onNote = () => undefined } = this.#options
    const opening: OpeningProjections = {
      context,
      sql: await readProjectionSql(projections, sqlOf),
      decode: this.#decode,
      nowUs: this.#options.nowUs ?? (() => BigInt(Date.now()) * 1000n),
      onProgress: (progress) => this.#tell(progress),
      onNote,
    }
    const positions = await openProjections(projections, opening)
    const schema = 'public'
    const target = await withClient(context.pool, async (client) => {
      const columns = await readAllColumns(client, { schema, projections: this.#live })
      for (const letter of await readDeadLetters(client, this.#live)) {
        this.#run.deadLetters.set(letterKey(letter.projection, letter.stream), letter)
      }
      return { pool: context.pool, schema, columns }
    })
    await loadTables(context.pool, { ...target, rowsOf: (table) => this.#run.overlay(table).base })
    this.#open = { target, opening }
    await this.#catchUp(positions)
    await withClient(context.pool, (client) => enterLive(client, this.#live, context.head))
    this.#position = context.head.position
    for (const projection of projections) if (!projection.live) await this.#openBackground(projection)
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
    for (const background of this.#background.values()) background.wake()
  }

  dropped(): void {
    this.#run.dropped()
  }

  /** Has the background projections follow the log, until {@link close} or the store is closed. */
  follow(): void {
    const signal = AbortSignal.any([this.#stop.signal, this.#opened.opening.context.signal])
    for (const background of this.#background.values()) background.start(signal)
  }

  /** Ends the background projections after the batch that they are at; to be called before the store is closed. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('The read models are closed'))
    for (const background of this.#background.values()) await background.ended()
  }

  /**
   * The rows as they were at a moment of the past; kept for the next who asks. A moment that has not come yet is refused. The background
   * projections that are named are waited for where they are not there yet, and refused after `waitMs`: an answer is never half a one.
   */
  async asOf(moment: PastMoment, options: AsOfOptions = {}): Promise<PastView> {
    const { context } = this.#opened.opening
    const position = 'position' in moment ? moment.position : await context.positionAt(moment.timeUs)
    if (position > this.#position || position < -1n) {
      throw new Error(`Cannot look at position ${position}: the log has positions 0 to ${this.#position}`)
    }
    const { columns, ...target } = this.#target
    const named = options.background ?? []
    const all = new Map(columns)
    for (const projection of named) {
      const background = this.#backgroundOf(projection.name)
      await background.reach(position, { limitMs: options.waitMs ?? waitMs })
      for (const [table, each] of background.target?.columns ?? []) all.set(table, each)
    }
    return this.#past.at(position, { projections: [...this.#live, ...named], target: { ...target, columns: all } })
  }

  /** Replays the whole log into shadow tables and compares them, and the rows in memory, with what serves. */
  replayCheck(
    options: { readonly onProgress?: (progress: CatchUpProgress) => void; readonly signal?: AbortSignal } = {},
  ): Promise<ReplayReport> {
    const { target, opening } = this.#opened
    return replayCheck({
      projections: this.#live,
      background: [...this.#background.values()].flatMap(({ projection, target: tables, position }) =>
        tables === null ? [] : [{ projection, position }],
      ),
      decode: this.#decode,
      sql: opening.sql,
      target,
      reader: opening.context.reader,
      live: this.#run,
      letters: this.deadLetters,
      position: () => this.#position,
      ...options,
    })
  }

  /** How far each projection is, out of memory. */
  progress(): readonly ProjectionProgress[] {
    const [head, letters] = [this.#position, this.deadLetters]
    return this.#options.projections.map((projection) =>
      progressOf(projection, { head, letters, position: this.#background.get(projection)?.position ?? head }),
    )
  }

  /** How far each projection is, with its dead letters and its tables. */
  async status(): Promise<readonly ProjectionStatus[]> {
    const { context, nowUs } = this.#opened.opening
    const found = await withClient(context.pool, (client) => readProjectionStatus(client, { nowUs: nowUs() }))
    return found.map((status) => {
      const background = [...this.#background.values()].find(({ projection }) => projection.name === status.name)
      if (background === undefined) return status
      const { position, activity } = background
      const lagEvents = this.#position > position ? this.#position - position : 0n
      const activityNow = activity === 'building' || activity === 'waiting' ? { activity } : {}
      return { ...status, ...activityNow, position, lagEvents, lagSeconds: lagEvents === 0n ? 0 : status.lagSeconds }
    })
  }

  /** A projection by its name, with its quarantined streams. Throws where there is none. */
  projection(name: string): {
    readonly projection: Projection
    readonly letters: ReadonlyMap<string, DeadLetter>
    readonly background: BackgroundProjection | null
  } {
    const projection = this.#options.projections.find((each) => each.name === name)
    if (projection === undefined) {
      const known = this.#options.projections.map((each) => `"${each.name}"`).join(', ')
      throw new ReadModelRefusal(`Cannot find projection "${name}": there are ${known}`)
    }
    const background = this.#background.get(projection) ?? null
    return { projection, letters: background?.deadLetters ?? this.#run.deadLetters, background }
  }

  /** Prepares to record that a projection is to follow a quarantined stream again. Throws where the stream is not quarantined in it. */
  async prepareResumption(name: string, stream: string): Promise<PreparedResumption> {
    const { letters, background } = this.projection(name)
    const letter = letters.get(letterKey(name, stream))
    if (letter === undefined) {
      throw new ReadModelRefusal(
        `Cannot have projection "${name}" follow stream "${stream}" again: it is not quarantined there`,
      )
    }
    if (background !== null) return resumedLater(letter)
    return prepareResumption(letter, { reader: this.#opened.opening.context.reader, missed: this.#run.missed })
  }

  /** The letter of a stream after the event at a position, null where it is followed; a background projection is waited for. */
  async letterAfter(
    position: bigint,
    { projection, stream, limitMs = waitMs }: { projection: string; stream: string; limitMs?: number },
  ): Promise<DeadLetter | null> {
    const { letters, background } = this.projection(projection)
    await background?.reach(position, { limitMs })
    return letters.get(letterKey(projection, stream)) ?? null
  }

  /**
   * Builds a projection anew in this process, between other work, and compares it with what serves; then puts it in place, or drops it. The same work in a process of its own (`buildProjection`, `compareBuild`, then {@link switchTo} here) leaves this one free.
   */
  async rebuild(name: string, options: RebuildOptions): Promise<Rebuilt> {
    const { projection } = this.projection(name)
    const { opening } = this.#opened
    const { pool, reader } = opening.context
    const { position } = await buildProjection({
      ...{ pool, reader, projection, sql: opening.sql.get(projection) ?? '', decode: this.#decode },
      ...{ nowUs: opening.nowUs, ...(options.signal === undefined ? {} : { signal: options.signal }) },
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    })
    const comparison = await withClient(pool, (client) =>
      compareBuild(client, projection, { position, listed: options.listed ?? listedDifferences }),
    )
    if (options.then === 'switch') return { comparison, switched: await this.switchTo(name) }
    await withClient(pool, (client) => dropScratch(client, buildSchema(projection)))
    return { comparison, switched: null }
  }

  /**
   * Puts a build that `buildProjection` has made ready in place, while everything goes on: it is caught up, and tables and rows in memory
   * change places in one step. Throws where there is no such build, or it is of other code than runs here.
   */
  async switchTo(name: string, { limitMs = switchLimitMs } = {}): Promise<ServingSwitched> {
    const { projection, background } = this.projection(name)
    const { opening } = this.#opened
    const parts = { projection, sql: opening.sql.get(projection) ?? '', decode: this.#decode, limitMs }
    const switched =
      background === null
        ? await switchLive({
            ...parts,
            context: opening.context,
            live: this.#run,
            position: () => this.#position,
          })
        : await background.between(() => switchBackground({ ...parts, context: opening.context, background }))
    this.#past.clear()
    return switched
  }

  get #opened() {
    if (this.#open === null) throw new Error('Cannot use the read models: they are not open yet')
    return this.#open
  }

  get #target(): RunTarget {
    return this.#opened.target
  }

  #backgroundOf(name: string): BackgroundProjection {
    const { background } = this.projection(name)
    if (background === null) throw new Error(`Cannot wait for projection "${name}": it is live`)
    return background
  }

  async #openBackground(projection: Projection): Promise<void> {
    const { opening } = this.#opened
    const background = new BackgroundProjection({
      projection,
      decode: this.#decode,
      pool: opening.context.pool,
      reader: opening.context.reader,
      head: () => this.#position,
      rebuild: (signal) => rebuildUnserved(projection, { ...opening, signal }),
      onQuarantine: (letter) => this.#report(letter),
      onAlarm: (alarm) => this.#options.onAlarm?.(alarm),
    })
    await background.open()
    this.#background.set(projection, background)
  }

  /** Projections at the same position go together; mostly that is all of them, one commit behind. */
  async #catchUp(positions: ReadonlyMap<Projection, bigint>): Promise<void> {
    const { reader, head, signal } = this.#opened.opening.context
    const onProgress = this.#options.onProgress
    for (const from of new Set(this.#live.map((projection) => positions.get(projection) ?? -1n))) {
      const only = new Set(this.#live.filter((projection) => positions.get(projection) === from))
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

  #tell({ projection, phase, position, target }: BuildProgress): void {
    if (phase !== 'indexing') this.#options.onProgress?.({ projections: [projection], position, target })
  }

  #report(letter: DeadLetter): void {
    const text = `Projection "${letter.projection}" cannot follow stream "${letter.stream}" from position ${letter.position} on: ${letter.error}`
    this.#options.onAlarm?.({ kind: 'quarantined', text })
  }
}
