import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { decodeFact } from '../../src/events/catalogue.ts'
import type { Projection } from '../../src/readmodel/projection.ts'
import type { AnyTable, IndexValue, RowChange, Rows, RowsOf, Table } from '../../src/readmodel/table.ts'

/** The current rows of one table, kept as a projection's changes tell; the plainest thing that can be right. */
export class MemoryRows implements Rows<object, object, string> {
  readonly #table: AnyTable
  readonly #rows = new Map<string, object>()

  constructor(of: AnyTable) {
    this.#table = of
  }

  get size(): number {
    return this.#rows.size
  }

  get(key: object): object | undefined {
    return this.#rows.get(this.#keyOf(key))
  }

  all(): IterableIterator<object> {
    return this.#rows.values()
  }

  by(index: string, value: Exclude<IndexValue, null>): readonly object[] {
    if (!this.#table.indexNames.includes(index)) throw new Error(`Table ${this.#table.name} has no index ${index}`)
    return [...this.#rows.values()].filter((row) => this.#table.indexValue(index, row) === value)
  }

  apply(change: RowChange): void {
    if (change.kind === 'upsert') this.#rows.set(this.#keyOf(change.row), change.row)
    else this.#rows.delete(this.#keyOf(change.key))
  }

  #keyOf(row: object): string {
    const columns = new Map<string, unknown>(Object.entries(row))
    return this.#table.key.map((column) => `${String(columns.get(column))}`).join('\u0000')
  }
}

/** The rows of several projections, brought up to date event by event, as the engine does in the commit's transaction. */
export class MemoryReadModels {
  readonly #projections: readonly Projection[]
  readonly #tables = new Map<string, MemoryRows>()

  constructor(projections: readonly Projection[]) {
    this.#projections = projections
    for (const { tables } of projections) {
      for (const table of Object.values(tables)) this.#tables.set(table.name, new MemoryRows(table))
    }
  }

  /** The rows of a declared table. */
  rows<Row, KeyColumn extends keyof Row, IndexName extends string>(
    of: Table<Row, KeyColumn, IndexName>,
  ): RowsOf<Table<Row, KeyColumn, IndexName>>
  rows(of: AnyTable): object {
    return this.#rowsOf(of)
  }

  /** All rows of a table, in the order of their text, for comparisons. */
  sorted(of: AnyTable): readonly object[] {
    const text = (row: object): string =>
      JSON.stringify(row, (_name, value: unknown) => (typeof value === 'bigint' ? `${value}` : value))
    return [...this.#rowsOf(of).all()].toSorted((a, b) => (text(a) < text(b) ? -1 : 1))
  }

  /** All rows of all tables. */
  snapshot(): Record<string, readonly object[]> {
    const tables = this.#projections.flatMap(({ tables: own }) => Object.values(own))
    return Object.fromEntries(tables.map((table) => [table.name, this.sorted(table)]))
  }

  apply(recorded: RecordedEvent): void {
    const event = decodeFact(recorded.type, recorded)
    for (const projection of this.#projections) {
      if (!projection.handles.has(event.type)) continue
      const rows = Object.fromEntries(
        Object.entries(projection.tables).map(([name, table]) => [name, this.#rowsOf(table)]),
      )
      for (const change of projection.apply(event, rows, recorded)) this.#rowsOf(change.table).apply(change)
    }
  }

  #rowsOf(of: AnyTable): MemoryRows {
    const rows = this.#tables.get(of.name)
    if (rows === undefined) throw new Error(`No projection here has the table ${of.name}`)
    return rows
  }
}
