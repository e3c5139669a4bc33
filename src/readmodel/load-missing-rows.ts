import type { MissingRows } from './partial-tables.ts'
import { loadedVersion, type StoredRow, selectedColumns } from './projection-tables.ts'
import type { RowSet } from './row-set.ts'
import { rowKey } from './row-set.ts'
import { columnsOf, type RunTarget } from './run-target.ts'
import type { AnyTable } from './table.ts'

/** Loads the current rows that handlers have asked for, by key and by values of indexed columns. */
export async function loadMissingRows(
  target: RunTarget,
  { table, missing, into }: { readonly table: AnyTable; readonly missing: MissingRows; readonly into: RowSet },
): Promise<void> {
  const columns = columnsOf(target, table)
  const from = `select ${selectedColumns(columns, 't')} from "${target.schema}"."${table.name}" t`
  const take = (rows: readonly StoredRow[]) => {
    for (const stored of rows) {
      const version = loadedVersion(stored)
      into.set(rowKey(table, version.row), version)
    }
  }
  if (missing.keys.size > 0) {
    const keys = columns.columns.filter(({ name }) => table.key.includes(name))
    const wanted = [...missing.keys.values()].map((key) => columns.keyToJson(key))
    const { rows } = await target.pool.query<StoredRow>(
      `${from} join json_to_recordset($1::json) as k (${keys.map(({ name, type }) => `"${name}" ${type}`).join(', ')})
        on ${keys.map(({ name }) => `t."${name}" = k."${name}"`).join(' and ')} where t.to_position is null`,
      [JSON.stringify(wanted)],
    )
    take(rows)
  }
  for (const { index, value } of missing.values.values()) {
    const indexed = table.indexColumn(index)
    const column = columns.columns.find(({ name }) => name === indexed)
    if (column === undefined)
      throw new Error(`Cannot find rows of "${table.name}": it has no index "${index}" of a column`)
    const { name, type } = column
    const text = `${from} where t.to_position is null and t."${name}" = $1::${type}`
    const { rows } = await target.pool.query<StoredRow>(text, [value])
    take(rows)
  }
}
