import type { RecordedEvent } from '../eventstore/recorded-event.ts'
export type { RecordedEvent } from '../eventstore/recorded-event.ts'
import type { AnyTable, RowChange, RowsOf, StoredRowsOf } from './table.ts'

/** Tables by the names under which handlers get their rows. */
export type Tables = { readonly [name: string]: AnyTable }

/** The current rows of each table. */
export type RowsOfTables<T extends Tables> = { readonly [Name in keyof T]: RowsOf<T[Name]> }

/** The current rows of each table of a background projection. */
export type StoredRowsOfTables<T extends Tables> = { readonly [Name in keyof T]: StoredRowsOf<T[Name]> }

/** What one event changes, given the rows as they are before it. Pure; a throw refuses the append, or quarantines the stream of a fact. */
type Handlers<Event extends { readonly type: string }, T extends Tables, Live extends boolean> = {
  readonly [Type in Event['type']]?: (
    event: Extract<Event, { readonly type: Type }>,
    rows: Live extends true ? RowsOfTables<T> : StoredRowsOfTables<T>,
    recorded: RecordedEvent,
  ) => readonly RowChange[]
}

/** What a projection is declared by. A handler reads and changes only the projection's own tables. */
export interface ProjectionDeclaration<
  Event extends { readonly type: string },
  T extends Tables,
  Live extends boolean,
> {
  readonly name: string
  /** Raised with every change of handlers or SQL: the next start rebuilds the tables from position 0. */
  readonly version: number
  /**
   * True: rows in memory and in tables, changed in the transaction of every commit. False: in tables only, behind the writer and off its
   * path; a handler finds rows by key or by an index over a column, which the engine loads when they are asked for.
   */
  readonly live: Live
  readonly tables: T
  readonly on: Handlers<Event, T, Live>
}

/** A declared projection, its types forgotten: what the engine works with. */
export interface Projection {
  readonly name: string
  readonly version: number
  readonly live: boolean
  readonly tables: Tables
  /** The event types it has a handler for. */
  readonly handles: ReadonlySet<string>
  /** The text of its handlers: part of what tells one build from another. */
  readonly source: string
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
export function projection<Event extends { readonly type: string }>(): <
  const T extends Tables,
  const Live extends boolean,
>(
  declaration: ProjectionDeclaration<Event, T, Live>,
) => Projection
export function projection(): (declaration: LooseDeclaration) => Projection {
  return ({ name, version, live, tables, on }) => ({
    name,
    version,
    live,
    tables: live ? tables : storedOnly(name, tables),
    handles: new Set(Object.keys(on)),
    source: Object.entries(on)
      .map(([type, handle]) => `${type}: ${String(handle)}`)
      .join('\n'),
    apply: (event, rows, recorded) => on[event.type]?.(event, rows, recorded) ?? [],
  })
}

/** Tables of a background projection: their rows are found by what SQL can find them by. */
function storedOnly(projection: string, tables: Tables): Tables {
  for (const table of Object.values(tables)) {
    const index = table.indexNames.find((name) => table.indexColumn(name) === null)
    if (index !== undefined) {
      throw new Error(
        `Cannot declare projection "${projection}": index "${index}" of "${table.name}" is a function of the row, it must be a column, since the rows are not in memory`,
      )
    }
  }
  return tables
}

interface LooseDeclaration {
  readonly name: string
  readonly version: number
  readonly live: boolean
  readonly tables: Tables
  readonly on: Readonly<Record<string, LooseHandler['handle']>>
}

interface LooseHandler {
  handle(event: object, rows: object, recorded: RecordedEvent): readonly RowChange[]
}
