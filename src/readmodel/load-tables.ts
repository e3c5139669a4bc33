import type pg from 'pg'
import type { ClientBase } from 'pg'
import { loadRows } from './projection-tables.ts'
import type { RowSet } from './row-set.ts'
import type { AnyTable } from './table.ts'
import type { TableColumns } from './table-columns.ts'
import { withClient } from './with-client.ts'

const connections = 3

/** Loads the current rows of tables, some tables at a time. Nobody writes meanwhile: all are read as of the same commit. */
export async function loadTables(
  pool: pg.Pool,
  {
    schema,
    columns,
    rowsOf,
  }: {
    readonly schema: string
    readonly columns: ReadonlyMap<AnyTable, TableColumns>
    readonly rowsOf: (table: AnyTable) => RowSet
  },
): Promise<void> {
  const waiting = [...columns]
  const loadNext = async (client: ClientBase): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [table, tableColumns] = next
      await loadRows(client, { schema, columns: tableColumns, into: rowsOf(table) })
    }
  }
  const loading = Array.from({ length: connections }, async () => await withClient(pool, loadNext))
  // Whatever fails, nothing is loaded any more once this returns.
  for (const each of await Promise.allSettled(loading)) if (each.status === 'rejected') throw each.reason
}
