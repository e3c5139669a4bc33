import type { AnyTable, Rows, RowsOf } from './table.ts'

/** Rows as of one moment: the present, a commit turn, or the past. One code path reads them all. */
export interface View {
  /** The rows of a declared table. */
  rows<T extends AnyTable>(table: T): RowsOf<T>
}

/** A view over whatever finds the rows of a table. */
export class RowsView implements View {
  readonly #find: (table: AnyTable) => Rows<object, object, string>

  constructor(find: (table: AnyTable) => Rows<object, object, string>) {
    this.#find = find
  }

  rows<T extends AnyTable>(table: T): RowsOf<T>
  rows(table: AnyTable): object {
    return this.#find(table)
  }
}

/** The rows that were valid right after the event at `position`. */
export interface PastView extends View {
  readonly position: bigint
}
