import { RowSet, type RowVersion, rowKey } from './row-set.ts'
import type { AnyTable, IndexValue, Rows } from './table.ts'

/** What a batch has changed so far, over committed rows: read as one, swapped in as one, or dropped. */
export class RowOverlay implements Rows<object, object, string> {
  readonly base: RowSet
  #changed: RowSet
  /** Keys whose committed version does not show through. */
  readonly #hidden = new Set<string>()

  constructor(table: AnyTable) {
    this.base = new RowSet(table)
    this.#changed = new RowSet(table)
  }

  get size(): number {
    let size = this.#changed.size + this.base.size
    for (const key of this.#hidden) if (this.base.version(key) !== undefined) size -= 1
    return size
  }

  get(key: object): object | undefined {
    return this.version(rowKey(this.base.table, key))?.row
  }

  *all(): IterableIterator<object> {
    for (const [key, version] of this.base.entries()) if (!this.#hidden.has(key)) yield version.row
    yield* this.#changed.all()
  }

  by(index: string, value: Exclude<IndexValue, null>): readonly object[] {
    const changed = this.#changed.by(index, value)
    const committed = this.base.entriesBy(index, value)
    if (this.#hidden.size === 0) return [...committed.values()]
    return [...[...committed].filter(([key]) => !this.#hidden.has(key)).map(([, row]) => row), ...changed]
  }

  /** Whether there is a version of the key, or the batch has removed it. */
  knows(key: string): boolean {
    return this.#hidden.has(key) || this.base.version(key) !== undefined
  }

  version(key: string): RowVersion | undefined {
    return this.#hidden.has(key) ? this.#changed.version(key) : this.base.version(key)
  }

  /** Puts a version, or with null none, over the committed one. Returns what takes that back. */
  put(key: string, version: RowVersion | null): () => void {
    const wasHidden = this.#hidden.has(key)
    const before = this.#changed.version(key)
    this.#hidden.add(key)
    if (version === null) this.#changed.delete(key)
    else this.#changed.set(key, version)
    return () => {
      if (!wasHidden) this.#hidden.delete(key)
      if (before === undefined) this.#changed.delete(key)
      else this.#changed.set(key, before)
    }
  }

  /** Makes the changes the committed rows. */
  commit(): void {
    for (const key of this.#hidden) {
      const version = this.#changed.version(key)
      if (version === undefined) this.base.delete(key)
      else this.base.set(key, version)
    }
    this.drop()
  }

  /** Forgets the changes. */
  drop(): void {
    if (this.#hidden.size === 0) return
    this.#hidden.clear()
    this.#changed = new RowSet(this.base.table)
  }
}
