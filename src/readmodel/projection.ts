import type { RecordedEvent } from '../eventstore/recorded-event.ts'
export type { RecordedEvent } from '../eventstore/recorded-event.ts'
import type { AnyTable, RowChange, RowsOf } from './table.ts'

/** Tables by the names under which handlers get their rows. */
export type Tables = { readonly [name: string]: AnyTable }

/** The current rows of each table. */
export type RowsOfTables<T extends Tables> = { readonly [Name in keyof T]: RowsOf<T[Name]> }

/** What one event changes, given the rows as they are before it. Pure; a throw refuses the append, or quarantines the stream of a fact. */
type Handlers<Event extends { readonly type: string }, T extends Tables> = {
  readonly [Type in Event['type']]?: (
    event: Extract<Event, { readonly type: Type }>,
    rows: RowsOfTables<T>,
    recorded: RecordedEvent,
  ) => readonly RowChange[]
}

/** What a projection is declared by. A handler reads and changes only the projection's own tables. */
export interface ProjectionDeclaration<Event extends { readonly type: string }, T extends Tables> {
  readonly name: string
  /** Raised with every change of handlers or SQL: the next start rebuilds the tables from position 0. */
  readonly version: number
  readonly live: true
  readonly tables: T
  readonly on: Handlers<Event, T>
}

/** A declared projection, its types forgotten: what the engine works with. */
export interface Projection {
  readonly name: string
  readonly version: number
  readonly live: true
  readonly tables: Tables
  /** The event types it has a handler for. */
  readonly handles: ReadonlySet<string>
  apply(event: { readonly type: string }, rows: object, recorded: RecordedEvent): readonly RowChange[]
}

/**
 * Declares a projection over the events of a union: which rows each event changes. `projections/<name>.sql` creates its tables.
 *
 * @example
 * export const backingChains = projection<AnyFact>()({
 *   name: 'backing_chains', version: 1, live: true, tables: { diskLayers },
 *   on: { BackingChainDetected: (event) => event.data.layers.map((layer, index) => upsert(diskLayers, rowOf(event, layer, index))) },
 * })
 */
export function projection<Event extends { readonly type: string }>(): <const T extends Tables>(
  declaration: ProjectionDeclaration<Event, T>,
) => Projection
export function projection(): (declaration: LooseDeclaration) => Projection {
  return ({ name, version, live, tables, on }) => ({
    name,
    version,
    live,
    tables,
    handles: new Set(Object.keys(on)),
    apply: (event, rows, recorded) => on[event.type]?.(event, rows, recorded) ?? [],
  })
}

interface LooseDeclaration {
  readonly name: string
  readonly version: number
  readonly live: true
  readonly tables: Tables
  readonly on: Readonly<Record<string, LooseHandler['handle']>>
}

interface LooseHandler {
  handle(event: object, rows: object, recorded: RecordedEvent): readonly RowChange[]
}
