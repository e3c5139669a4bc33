import { rowKey } from './row-set.ts'
import type { RowOverlay } from './row-overlay.ts'
import type { AnyTable, IndexValue, StoredRows } from './table.ts'

/** A handler needs rows that are not in memory: they are loaded, and the event is taken again. */
export class MissingRowsError extends Error {}

/** Rows that were asked for and are not in memory: by their keys (texts of {@link rowKey}), and by values of indexes over a column. */
export interface MissingRows {
  readonly keys: Map<string, object>
  readonly values: Map<string, { readonly index: string; readonly value: Exclude<IndexValue, null> }>
}

/**
 * Tables of which only some rows are in memory, at most so many: what a handler asks for and is not there is noted, loaded by whoever
 * runs it, and the handler is asked again. So handlers stay plain functions of the rows, and memory stays bounded whatever a table holds.
 */
export class PartialTables {
  readonly #maxRows: number
  readonly #missing = new Map<AnyTable, MissingRows>()
  /** Keys of which it is known that the database has no current row. */
  readonly #absent = new Map<AnyTable, Set<string>>()
  /** Values of indexes all of whose rows are in memory. */
  readonly #complete = new Map<AnyTable, Set<string>>()

  constructor({ maxRows }: { readonly maxRows: number }) {
    this.#maxRows = maxRows
  }

  /** The rows of a table as a handler sees them. */
  rows(overlay: RowOverlay): StoredRows<object, object, string> {
    return {
      get: (key) => {
        this.require(overlay, key)
        return overlay.get(key)
      },
      by: (index, value) => {
        this.#requireValue(overlay.base.table, { index, value })
        return overlay.by(index, value)
      },
    }
  }

  /** Throws {@link MissingRowsError} where it is not known whether there is a row with this key. */
  require(overlay: RowOverlay, key: object): void {
    const { table } = overlay.base
    const text = rowKey(table, key)
    if (overlay.knows(text) || this.#absent.get(table)?.has(text) === true) return
    this.#missingOf(table).keys.set(text, key)
    throw new MissingRowsError(`Row ${text} of "${table.name}" is not in memory`)
  }

  /** Throws where something was asked for and not there, also where the handler has swallowed that. */
  throwIfMissing(): void {
    if (this.#missing.size > 0) throw new MissingRowsError('Some rows are not in memory')
  }

  /** What was asked for and not there since the last call. */
  takeMissing(): ReadonlyMap<AnyTable, MissingRows> {
    const missing = new Map(this.#missing)
    this.#missing.clear()
    return missing
  }

  /** Says that what was missing of a table has been loaded. */
  loaded(table: AnyTable, { keys, values }: MissingRows): void {
    const absent = setOf(this.#absent, table)
    for (const key of keys.keys()) absent.add(key)
    const complete = setOf(this.#complete, table)
    for (const value of values.keys()) complete.add(value)
  }

  /** After a batch: makes room where more rows are in memory than may be. */
  trim(overlays: Iterable<RowOverlay>): void {
    for (const { base } of overlays) {
      const { table } = base
      if (base.size + (this.#absent.get(table)?.size ?? 0) <= this.#maxRows) continue
      this.#absent.delete(table)
      this.#complete.delete(table)
      let excess = base.size - this.#maxRows / 2
      for (const [key] of base.entries()) {
        if (excess <= 0) break
        base.delete(key)
        excess -= 1
      }
    }
  }

  /** Forgets all that is known, where the tables are others than they were. */
  clear(overlays: Iterable<RowOverlay>): void {
    this.#missing.clear()
    this.#absent.clear()
    this.#complete.clear()
    for (const { base } of overlays) base.clear()
  }

  #requireValue(table: AnyTable, wanted: { readonly index: string; readonly value: Exclude<IndexValue, null> }): void {
    const text = `${wanted.index} ${wanted.value}`
    if (this.#complete.get(table)?.has(text) === true) return
    this.#missingOf(table).values.set(text, wanted)
    throw new MissingRowsError(`Rows of "${table.name}" by ${text} are not in memory`)
  }

  #missingOf(table: AnyTable): MissingRows {
    const known = this.#missing.get(table)
    if (known !== undefined) return known
    const missing = { keys: new Map(), values: new Map() }
    this.#missing.set(table, missing)
    return missing
  }
}

function setOf(sets: Map<AnyTable, Set<string>>, table: AnyTable): Set<string> {
  const known = sets.get(table)
  if (known !== undefined) return known
  const made = new Set<string>()
  sets.set(table, made)
  return made
}
