import type { AppendKind } from '../eventstore/event-store-options.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { type DeadLetter, DeadLetters, letterKey } from './dead-letters.ts'
import { MissingRowsError, type PartialTables } from './partial-tables.ts'
import type { PresumedLetters } from './presumed-letters.ts'
import type { Projection } from './projection.ts'
import { type Resumption, resumptionOf, resumptionTypes } from './resumption.ts'
import { type Moment, RowHistory, type Undo } from './row-history.ts'
import { RowOverlay } from './row-overlay.ts'
import type { AnyTable } from './table.ts'

/** Reads the stored form of an event into what the handlers take. */
export type Decode = (event: RecordedEvent) => { readonly type: string }

/** What a run of projections is made of. `check` throws where a row cannot be written. */
export interface ProjectionRunParts {
  readonly projections: readonly Projection[]
  readonly decode: Decode
  readonly check: (table: AnyTable, row: object) => void
  readonly onQuarantine: (letter: DeadLetter) => void
  /** What was refused before, where a run repeats it. */
  readonly presumed?: PresumedLetters
  /** Where only some of the rows are in memory. */
  readonly partial?: PartialTables
}

/** How events are to be taken. `only`: by these projections. `poison`: the database has refused what they change. */
export interface TakeOptions {
  readonly kind: AppendKind
  readonly only?: ReadonlySet<Projection>
  readonly poison?: Error
}

/**
 * Some projections with their rows in memory. Events are taken into an overlay, whose changes are then written and committed or dropped;
 * the same for live commits, rebuilds and checks.
 */
export class ProjectionRun {
  readonly histories: ReadonlyMap<AnyTable, RowHistory>
  readonly letters = new DeadLetters()
  /** The events of quarantined streams that are about to be followed again, by `letterKey`; whoever takes such a wish puts them here. */
  readonly missed = new Map<string, readonly RecordedEvent[]>()
  readonly #parts: ProjectionRunParts
  readonly #rowsOf: ReadonlyMap<Projection, object>
  readonly #owners: ReadonlyMap<AnyTable, Projection>
  readonly #byType: ReadonlyMap<string, readonly Projection[]>

  constructor(parts: ProjectionRunParts) {
    this.#parts = parts
    const owned = parts.projections.flatMap((each) => Object.values(each.tables).map((table) => [table, each] as const))
    this.#owners = new Map(owned)
    const tables = owned.map(([table]) => table)
    this.histories = new Map(tables.map((table) => [table, new RowHistory(new RowOverlay(table))]))
    if (this.histories.size !== tables.length || new Set(tables.map((table) => table.name)).size !== tables.length) {
      throw new Error('Cannot run the projections: a table belongs to two of them')
    }
    const rowsOf = (table: AnyTable) => {
      const overlay = this.overlay(table)
      return parts.partial?.rows(overlay) ?? overlay
    }
    this.#rowsOf = new Map(
      parts.projections.map((projection) => [
        projection,
        Object.fromEntries(Object.entries(projection.tables).map(([name, table]) => [name, rowsOf(table)])),
      ]),
    )
    const types = new Set(parts.projections.flatMap(({ handles }) => [...handles]))
    this.#byType = new Map(
      [...types].map((type) => [type, parts.projections.filter(({ handles }) => handles.has(type))]),
    )
  }

  /** Quarantined streams that are written down, by projection and stream. */
  get deadLetters(): Map<string, DeadLetter> {
    return this.letters.committed
  }

  /** The rows of a table with what the batch has changed. */
  overlay(table: AnyTable): RowOverlay {
    return this.#history(table).overlay
  }

  /**
   * Takes events in. An intent that a projection cannot take throws and leaves no trace; the stream of a fact is quarantined in that
   * projection. Returns what takes all of it back.
   */
  take(events: readonly RecordedEvent[], options: TakeOptions): Undo {
    const journal: Undo[] = []
    try {
      for (const event of events) this.#takeEvent(event, { ...options, journal })
    } catch (error) {
      undoAll(journal)
      throw error
    }
    return () => undoAll(journal)
  }

  /** Makes the batch's changes the committed rows. */
  committed(): void {
    for (const history of this.histories.values()) {
      history.overlay.commit()
      history.clear()
    }
    this.letters.commit(this.#parts.onQuarantine)
  }

  /** Forgets the batch's changes. */
  dropped(): void {
    for (const history of this.histories.values()) {
      history.overlay.drop()
      history.clear()
    }
    this.letters.drop()
  }

  #takeEvent(event: RecordedEvent, options: Taking): void {
    if (resumptionTypes.has(event.type)) this.#resume(event, options)
    const projections = this.#byType.get(event.type)
    if (projections === undefined) return
    let decoded: ReturnType<Decode> | null = null
    const decode = () => (decoded ??= this.#parts.decode(event))
    const at: Moment = { position: event.position, timeUs: event.recordedAtUs }
    for (const projection of projections) {
      if (options.only?.has(projection) === false) continue
      const { letters } = this
      if (!letters.areNone && letters.get(letterKey(projection.name, event.stream)) !== undefined) continue
      const error = this.#takeInto(projection, { event, decode, at, options })
      if (error === null) continue
      if (options.kind === 'intent') throw error
      const letter = letterOf(projection, { event, error })
      const key = letterKey(projection.name, event.stream)
      options.journal.push(letters.put(key, { ...letter, attempts: 1, lastTriedAtUs: null }))
    }
  }

  /** Has one projection take one event; gives why it could not. */
  #takeInto(projection: Projection, { event, decode, at, options }: Application): Error | null {
    const { journal } = options
    const before = journal.length
    try {
      if (options.poison !== undefined) throw options.poison
      const presumed = this.#presumedError(projection, { event, at })
      if (presumed !== null) throw new Error(presumed)
      this.#apply(projection, { event, decoded: decode(), at, journal })
      this.#parts.partial?.throwIfMissing()
      return null
    } catch (error) {
      undoAll(journal.splice(before))
      this.#parts.partial?.throwIfMissing()
      if (error instanceof MissingRowsError) throw error
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  #presumedError(projection: Projection, { event, at }: Pick<Application, 'event' | 'at'>): string | null {
    const { presumed } = this.#parts
    if (presumed === undefined) return null
    const place = { projection: projection.name, stream: event.stream, position: event.position }
    return presumed.errorOf(place, at.position)
  }

  /** A stream is followed again: the events that were missed are taken now, and count from now on. */
  #resume(event: RecordedEvent, options: Taking): void {
    const resumption = resumptionOf(event)
    const projection = this.#parts.projections.find(({ name }) => name === resumption?.projection)
    if (resumption === null || projection === undefined || options.only?.has(projection) === false) return
    const key = letterKey(projection.name, resumption.stream)
    const letter = this.letters.get(key)
    if (letter === undefined || letter.position !== resumption.position) return // settled before, or never refused by this version
    const failed = (error: Error, at: RecordedEvent | null) => {
      const attempts = at === null || at.position === letter.position ? letter.attempts + 1 : 1
      const where = at === null ? letter : letterOf(projection, { event: at, error })
      const again = { ...where, error: error.message, attempts, lastTriedAtUs: event.recordedAtUs }
      options.journal.push(this.letters.put(key, again))
    }
    if (options.poison !== undefined) return failed(options.poison, null)
    const missed = this.missed.get(key)
    if (missed === undefined) {
      throw new Error(`Cannot take ${event.type} at position ${event.position}: the missed events were not read`)
    }
    options.journal.push(this.letters.put(key, null))
    for (const past of wanted(missed, { resumption, handles: projection.handles })) {
      const decode = () => this.#parts.decode(past)
      const error = this.#takeInto(projection, { event: past, decode, at: resumption.at, options })
      if (error !== null) return failed(error, past)
    }
  }

  #apply(
    projection: Projection,
    {
      event,
      decoded,
      at,
      journal,
    }: Pick<Application, 'event' | 'at'> & { readonly decoded: { readonly type: string }; readonly journal: Undo[] },
  ): void {
    for (const change of projection.apply(decoded, this.#rowsOf.get(projection) ?? {}, event)) {
      if (this.#owners.get(change.table) !== projection) {
        throw new Error(
          `Cannot apply ${event.type}: projection "${projection.name}" does not own table "${change.table.name}"`,
        )
      }
      if (change.kind === 'upsert') this.#parts.check(change.table, change.row)
      const history = this.#history(change.table)
      this.#parts.partial?.require(history.overlay, change.kind === 'upsert' ? change.row : change.key)
      history.apply(change, { at, journal })
    }
  }

  #history(table: AnyTable): RowHistory {
    const history = this.histories.get(table)
    if (history === undefined)
      throw new Error(`Cannot find the rows of "${table.name}": no projection here has that table`)
    return history
  }
}

interface Taking extends TakeOptions {
  readonly journal: Undo[]
}

interface Application {
  readonly event: RecordedEvent
  readonly decode: () => { readonly type: string }
  /** When its changes count from: its own moment, or that of a later attempt. */
  readonly at: Moment
  readonly options: Taking
}

/** Which of the missed events a wish is about, and the projection wants at all. */
export function* wanted(
  missed: readonly RecordedEvent[],
  { resumption, handles }: { readonly resumption: Resumption; readonly handles: ReadonlySet<string> },
): Generator<RecordedEvent, void> {
  for (const event of missed) {
    if (event.position < resumption.position || event.position >= resumption.at.position) continue
    if (resumption.kind === 'skip' && event.position === resumption.position) continue
    if (handles.has(event.type)) yield event
  }
}

/** What a letter says of the event that could not be taken. */
export function letterOf(
  projection: Projection,
  { event, error }: { readonly event: RecordedEvent; readonly error: Error },
): Omit<DeadLetter, 'attempts' | 'lastTriedAtUs'> {
  const { stream, position, recordedAtUs } = event
  return { projection: projection.name, stream, position, atUs: recordedAtUs, error: error.message }
}

function undoAll(journal: Undo[]): void {
  for (const undo of journal.toReversed()) undo()
  journal.length = 0
}
