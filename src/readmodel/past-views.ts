import { BoundedMap } from '../eventstore/bounded-map.ts'
import { loadRows } from './projection-tables.ts'
import type { Projection } from './projection.ts'
import { RowSet } from './row-set.ts'
import type { RunTarget } from './run-target.ts'
import type { AnyTable } from './table.ts'
import { type PastView, RowsView } from './view.ts'

// A moment is held in memory; what has more rows is for SQL.
const maxRows = 1_000_000

/** Rows of past moments, loaded from the tables once and kept for the next who asks, as many moments as there is room for. */
export class PastViews {
  readonly #moments: BoundedMap<string, Promise<PastView>>
  #generation = 0

  constructor({ moments }: { readonly moments: number }) {
    this.#moments = new BoundedMap(moments)
  }

  /** The rows of some projections right after the event at a position. The caller knows that the tables reach so far. */
  async at(position: bigint, from: { readonly projections: readonly Projection[]; readonly target: RunTarget }) {
    const names = from.projections.map(({ name }) => name).toSorted()
    const key = `${this.#generation} ${position} ${names.join()}`
    const known = this.#moments.get(key)
    if (known !== undefined) return known
    const loading = load(position, from)
    this.#moments.set(key, loading)
    loading.catch(() => this.#moments.delete(key))
    return loading
  }

  /** Forgets what was loaded: the tables have been rebuilt. */
  clear(): void {
    this.#generation += 1
  }
}

async function load(
  position: bigint,
  { projections, target }: { readonly projections: readonly Projection[]; readonly target: RunTarget },
): Promise<PastView> {
  const { pool, schema } = target
  const rows = new Map<AnyTable, RowSet>()
  for (const table of projections.flatMap(({ tables }) => Object.values(tables))) {
    const columns = target.columns.get(table)
    if (columns === undefined) throw new Error(`Cannot look at "${table.name}": its columns were not read`)
    const into = new RowSet(table)
    await loadRows(pool, { schema, columns, into, at: position, limit: maxRows })
    rows.set(table, into)
  }
  const view = new RowsView((table) => rows.get(table) ?? missing(table))
  return Object.assign(view, { position })
}

function missing(table: AnyTable): never {
  throw new Error(
    `Cannot find the rows of "${table.name}": no projection here has that table, or a background one was not asked for`,
  )
}
