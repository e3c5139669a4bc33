import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { MemoryReadModels } from '../../src/readmodel/memory-read-models.ts'
import type { Projection } from '../../src/readmodel/projection.ts'
import type { AnyTable, RowsOf } from '../../src/readmodel/table.ts'

/** The rows of projections in memory, by the engine's own rules, with what tests compare them by. */
export class MemoryRows {
  readonly #models: MemoryReadModels
  readonly #tables: readonly AnyTable[]

  constructor(projections: readonly Projection[]) {
    this.#models = new MemoryReadModels(projections)
    this.#tables = projections.flatMap(({ tables }) => Object.values(tables))
  }

  /** Takes in the events of one commit. */
  apply(...events: readonly RecordedEvent[]): void {
    this.#models.apply(events)
  }

  /** The rows of a declared table. */
  rows<T extends AnyTable>(table: T): RowsOf<T> {
    return this.#models.view.rows(table)
  }

  /** All rows of all tables, each table in the order of its rows' text. */
  snapshot(): Record<string, readonly string[]> {
    return Object.fromEntries(this.#tables.map((table) => [table.name, this.#texts(table)]))
  }

  #texts(table: AnyTable): readonly string[] {
    const rows: { all(): Iterable<unknown> } = this.#models.view.rows(table)
    const text = (row: unknown): string =>
      JSON.stringify(Object.entries(Object(row)).toSorted(byName), (_name, value: unknown) =>
        typeof value === 'bigint' ? `${value}n` : value,
      )
    return [...rows.all()].map(text).toSorted((a, b) => (a < b ? -1 : 1))
  }
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}
