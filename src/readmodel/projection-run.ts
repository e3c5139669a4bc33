import type { AppendKind } from '../eventstore/commit-participant.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import type { Projection } from './projection.ts'
import { type Moment, RowHistory, type Undo } from './row-history.ts'
import { RowOverlay } from './row-overlay.ts'
import type { AnyTable } from './table.ts'

/** A stream that a projection does not follow any more, from the event on that it could not take. */
export interface DeadLetter {
  readonly projection: string
  readonly stream: string
  readonly position: bigint
  readonly atUs: bigint
  readonly error: string
}

/** Reads the stored form of an event into what the handlers take. */
export type Decode = (event: RecordedEvent) => { readonly type: string }

/** What a run of projections is made of. `check` throws where a row cannot be written. */
export interface ProjectionRunParts {
  readonly projections: readonly Projection[]
  readonly decode: Decode
  readonly check: (table: AnyTable, row: object) => void
  readonly onQuarantine: (letter: DeadLetter) => void
  /** What was quarantined before, where a run repeats it: the database's reasons cannot be told from the events. */
  readonly presumed?: ReadonlyMap<string, DeadLetter>
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
  /** Quarantined streams that are written down, by projection and stream. */
  readonly deadLetters = new Map<string, DeadLetter>()
  /** Those of this batch. */
  readonly newDeadLetters = new Map<string, DeadLetter>()
  readonly #parts: ProjectionRunParts
  readonly #rowsOf: ReadonlyMap<Projection, object>

  constructor(parts: ProjectionRunParts) {
    this.#parts = parts
    const tables = parts.projections.flatMap((projection) => Object.values(projection.tables))
    this.histories = new Map(tables.map((table) => [table, new RowHistory(new RowOverlay(table))]))
    if (this.histories.size !== tables.length || new Set(tables.map((table) => table.name)).size !== tables.length) {
      throw new Error('Cannot run the projections: a table belongs to two of them')
    }
    this.#rowsOf = new Map(
      parts.projections.map((projection) => [
        projection,
        Object.fromEntries(Object.entries(projection.tables).map(([name, table]) => [name, this.overlay(table)])),
      ]),
    )
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
    for (const { overlay } of this.histories.values()) overlay.commit()
    for (const [key, letter] of this.newDeadLetters) {
      this.deadLetters.set(key, letter)
      this.#parts.onQuarantine(letter)
    }
    this.#clear()
  }

  /** Forgets the batch's changes. */
  dropped(): void {
    for (const { overlay } of this.histories.values()) overlay.drop()
    this.#clear()
  }

  /** Forgets all rows and dead letters of a projection. */
  reset(projection: Projection): void {
    for (const table of Object.values(projection.tables)) {
      const { base } = this.overlay(table)
      for (const [key] of [...base.entries()]) base.delete(key)
    }
    for (const [key, letter] of [...this.deadLetters])
      if (letter.projection === projection.name) this.deadLetters.delete(key)
  }

  #takeEvent(event: RecordedEvent, options: TakeOptions & { readonly journal: Undo[] }): void {
    let decoded: ReturnType<Decode> | null = null
    for (const projection of this.#parts.projections) {
      if (!projection.handles.has(event.type) || options.only?.has(projection) === false) continue
      const key = letterKey(projection.name, event.stream)
      if (this.deadLetters.has(key) || this.newDeadLetters.has(key)) continue
      const journal: Undo[] = []
      try {
        if (options.poison !== undefined) throw options.poison
        const presumed = this.#parts.presumed?.get(key)
        if (presumed?.position === event.position) throw new Error(presumed.error)
        decoded ??= this.#parts.decode(event)
        this.#apply(projection, { event, decoded, journal })
        options.journal.push(...journal)
      } catch (error) {
        undoAll(journal)
        if (options.kind === 'intent') throw error
        const message = error instanceof Error ? error.message : String(error)
        const where = { projection: projection.name, stream: event.stream, position: event.position }
        this.newDeadLetters.set(key, { ...where, atUs: event.recordedAtUs, error: message })
        options.journal.push(() => this.newDeadLetters.delete(key))
      }
    }
  }

  #apply(projection: Projection, { event, decoded, journal }: Application): void {
    const at: Moment = { position: event.position, timeUs: event.recordedAtUs }
    const owned = Object.values(projection.tables)
    for (const change of projection.apply(decoded, this.#rowsOf.get(projection) ?? {}, event)) {
      if (!owned.includes(change.table)) {
        throw new Error(
          `Cannot apply ${event.type}: projection "${projection.name}" does not own table "${change.table.name}"`,
        )
      }
      if (change.kind === 'upsert') this.#parts.check(change.table, change.row)
      this.#history(change.table).apply(change, { at, journal })
    }
  }

  #history(table: AnyTable): RowHistory {
    const history = this.histories.get(table)
    if (history === undefined)
      throw new Error(`Cannot find the rows of "${table.name}": no projection here has that table`)
    return history
  }

  #clear(): void {
    for (const history of this.histories.values()) history.clear()
    this.newDeadLetters.clear()
  }
}

interface Application {
  readonly event: RecordedEvent
  readonly decoded: { readonly type: string }
  readonly journal: Undo[]
}

/** By what a quarantined stream is known. */
export function letterKey(projection: string, stream: string): string {
  return `${projection} ${stream}`
}

function undoAll(journal: Undo[]): void {
  for (const undo of journal.toReversed()) undo()
  journal.length = 0
}
