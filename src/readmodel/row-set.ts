import type { AnyTable, IndexValue, Rows } from './table.ts'

/** The current version of a row, since when, and by which event. */
export interface RowVersion {
  readonly row: object
  readonly fromPosition: bigint
  readonly fromUs: bigint
}

/** Rows of one table in memory, by key and by the table's indexes. */
export class RowSet implements Rows<object, object, string> {
  readonly table: AnyTable
  #versions = new Map<string, RowVersion>()
  #indexes: ReadonlyMap<string, Map<IndexValue, Map<string, object>>>

  constructor(table: AnyTable) {
    this.table = table
    this.#indexes = emptyIndexes(table)
  }

  /** Has the rows of another set from now on, which has none afterwards: for readers it is one step. */
  takeOver(other: RowSet): void {
    this.#versions = other.#versions
    this.#indexes = other.#indexes
    other.clear()
  }

  clear(): void {
    this.#versions = new Map()
    this.#indexes = emptyIndexes(this.table)
  }

  get size(): number {
    return this.#versions.size
  }

  get(key: object): object | undefined {
    return this.#versions.get(rowKey(this.table, key))?.row
  }

  *all(): IterableIterator<object> {
    for (const version of this.#versions.values()) yield version.row
  }

  by(index: string, value: Exclude<IndexValue, null>): readonly object[] {
    return [...this.entriesBy(index, value).values()]
  }

  /** Versions by the text of their key. */
  entries(): IterableIterator<[string, RowVersion]> {
    return this.#versions.entries()
  }

  /** Rows with a value in an index, by the text of their key. */
  entriesBy(index: string, value: IndexValue): ReadonlyMap<string, object> {
    const rows = this.#indexes.get(index)
    if (rows === undefined) throw new Error(`Cannot find rows of "${this.table.name}": it has no index "${index}"`)
    return rows.get(value) ?? none
  }

  version(key: string): RowVersion | undefined {
    return this.#versions.get(key)
  }

  set(key: string, version: RowVersion): void {
    const before = this.#versions.get(key)
    this.#versions.set(key, version)
    for (const [name, index] of this.#indexes) {
      const value = this.table.indexValue(name, version.row)
      if (before !== undefined) {
        const former = this.table.indexValue(name, before.row)
        if (former !== value) remove(index, { key, value: former })
      }
      if (value === null) continue
      const rows = index.get(value)
      if (rows === undefined) index.set(value, new Map([[key, version.row]]))
      else rows.set(key, version.row)
    }
  }

  delete(key: string): void {
    const version = this.#versions.get(key)
    if (version === undefined) return
    this.#versions.delete(key)
    for (const [name, index] of this.#indexes) {
      remove(index, { key, value: this.table.indexValue(name, version.row) })
    }
  }
}

function remove(
  index: Map<IndexValue, Map<string, object>>,
  { key, value }: { readonly key: string; readonly value: IndexValue },
): void {
  const rows = index.get(value)
  rows?.delete(key)
  if (rows?.size === 0) index.delete(value)
}

function emptyIndexes(table: AnyTable): ReadonlyMap<string, Map<IndexValue, Map<string, object>>> {
  return new Map(table.indexNames.map((name) => [name, new Map()]))
}

const none: ReadonlyMap<string, object> = new Map()

/** The key columns of a row as one text; values of one column always have one type, so texts are equal only where keys are. */
export function rowKey(table: AnyTable, row: object): string {
  const [only] = table.key
  if (only !== undefined && table.key.length === 1) return String(Reflect.get(row, only))
  return JSON.stringify(table.key.map((column) => String(Reflect.get(row, column))))
}
