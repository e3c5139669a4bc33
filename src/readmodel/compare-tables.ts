import type { ClientBase } from 'pg'
import { type Column, readTableColumns } from './table-columns.ts'
import type { AnyTable } from './table.ts'

/** Two schemas that hold the same read model, and the position up to which their rows are compared. */
export interface Compared {
  readonly serving: string
  readonly built: string
  readonly position: bigint
  /** Differences that are listed of each table; all are counted. */
  readonly listed: number
}

/** A version of a row that is not the same on both sides, as JSON text; null where a side does not have it. */
export interface RowDifference {
  readonly table: string
  readonly serving: string | null
  readonly built: string | null
}

/** What comparing one table gave. A table that does not serve yet has only columns that are added. */
export interface TableComparison {
  readonly name: string
  /** Versions of rows in the build. */
  readonly versions: bigint
  readonly differences: bigint
  readonly addedColumns: readonly string[]
  readonly removedColumns: readonly string[]
  readonly listed: readonly RowDifference[]
}

const temporal = ['from_position', 'to_position', 'valid_from', 'valid_to']

/**
 * Compares every version of every row of a table on both sides, by the columns they have in common. Versions that begin after the
 * position are left out, ends after it are no ends, so that sides that stand at different events can be compared.
 */
export async function compareTable(client: ClientBase, table: AnyTable, compared: Compared): Promise<TableComparison> {
  const built = await readTableColumns(client, { schema: compared.built, table: table.name })
  const serving = await readTableColumns(client, { schema: compared.serving, table: table.name })
  const rowColumns = (columns: readonly Column[]) => columns.filter(({ name }) => !temporal.includes(name))
  const same = rowColumns(built).filter((column) =>
    serving.some(({ name, type }) => name === column.name && type === column.type),
  )
  const only = (columns: readonly Column[]) =>
    rowColumns(columns)
      .filter((column) => !same.includes(column) && !same.some(({ name }) => name === column.name))
      .map(({ name, type }) => `${name} ${type}`)
  const shape = { name: table.name, addedColumns: only(built), removedColumns: only(serving) }
  if (!table.key.every((name) => same.some((column) => column.name === name))) {
    const { rows } = await client.query<{ n: bigint }>(
      `select count(*) as n from "${compared.built}"."${table.name}" where from_position <= $1::int8`,
      [compared.position],
    )
    return { ...shape, versions: rows[0]?.n ?? 0n, differences: rows[0]?.n ?? 0n, listed: [] }
  }
  const text = comparison(table, { compared, columns: same.map(({ name }) => `"${name}"`) })
  const { rows } = await client.query<{
    versions: bigint
    count: bigint
    listed: readonly { readonly serving: string | null; readonly built: string | null }[]
  }>(text, [compared.position, compared.listed])
  const [row] = rows
  const listed = (row?.listed ?? []).map((each) => ({ ...each, table: table.name }))
  return { ...shape, versions: row?.versions ?? 0n, differences: row?.count ?? 0n, listed }
}

function comparison(
  table: AnyTable,
  { compared, columns }: { readonly compared: Compared; readonly columns: readonly string[] },
): string {
  const side = (schema: string) => `select ${columns.join(', ')}, from_position,
    case when to_position <= $1::int8 then to_position end as to_position, valid_from,
    case when to_position <= $1::int8 then valid_to end as valid_to
    from "${schema}"."${table.name}" where from_position <= $1::int8`
  const key = [...table.key.map((name) => `"${name}"`), 'from_position']
  return `
    with s as materialized (${side(compared.serving)}), b as materialized (${side(compared.built)}),
    different as materialized (
      select case when s.from_position is null then null else row_to_json(s)::text end as serving,
        case when b.from_position is null then null else row_to_json(b)::text end as built,
        coalesce(s.from_position, b.from_position) as at
      from s full join b on ${key.map((name) => `s.${name} = b.${name}`).join(' and ')}
      where row(s.*) is distinct from row(b.*))
    select (select count(*) from b) as versions, (select count(*) from different) as count,
      coalesce((select json_agg(json_build_object('serving', serving, 'built', built) order by at)
        from (select * from different order by at limit $2::int4) l), '[]') as listed`
}
