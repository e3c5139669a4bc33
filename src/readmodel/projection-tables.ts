import type { ClientBase } from 'pg'
import type { Projection } from './projection.ts'
import { type RowSet, type RowVersion, rowKey } from './row-set.ts'
import type { AnyTable } from './table.ts'
import { readColumns, type TableColumns } from './table-columns.ts'

/** The SQL that makes a projection's tables, and where. */
export interface TablesSource {
  readonly schema: string
  readonly sql: string
}

/** Makes a projection's tables by its SQL file and gives them what the engine needs. Runs in the caller's transaction. */
export async function createTables(
  client: ClientBase,
  projection: Projection,
  { schema, sql }: TablesSource,
): Promise<void> {
  await client.query(`set local search_path = "${schema}", public`)
  await client.query(sql)
  for (const table of Object.values(projection.tables)) {
    await readColumns(client, { schema, table })
    const key = table.key.map((column) => `"${column}"`).join(', ')
    const name = `"${schema}"."${table.name}"`
    await client.query(`
      alter table ${name} add primary key (${key}, from_position);
      alter table ${name} add constraint "${table.name}_versions" check (
        (to_position is null) = (valid_to is null) and (to_position is null or to_position > from_position));
      create unique index "${table.name}_current" on ${name} (${key}) where to_position is null`)
  }
  await client.query('set local search_path to default')
}

/** Reads the columns of all tables of some projections. */
export async function readAllColumns(
  client: ClientBase,
  { schema, projections }: { readonly schema: string; readonly projections: readonly Projection[] },
): Promise<Map<AnyTable, TableColumns>> {
  const columns = new Map<AnyTable, TableColumns>()
  for (const projection of projections) {
    for (const table of Object.values(projection.tables))
      columns.set(table, await readColumns(client, { schema, table }))
  }
  return columns
}

/** Puts the rows of a table that are current, or were right after the event at a position, into memory. */
export async function loadRows(
  client: Pick<ClientBase, 'query'>,
  { schema, columns, into, at }: { schema: string; columns: TableColumns; into: RowSet; at?: bigint },
): Promise<void> {
  const table = `"${schema}"."${columns.table.name}"`
  const valid =
    at === undefined ? 'to_position is null' : `from_position <= ${at} and (to_position is null or to_position > ${at})`
  const { rows } = await client.query<StoredRow>(
    `select ${selectedColumns(columns, 't')} from ${table} t where ${valid}`,
  )
  for (const stored of rows) {
    const version = loadedVersion(stored)
    into.set(rowKey(columns.table, version.row), version)
  }
}

/** A row as the database gives it, with the beginning of its version. */
export type StoredRow = Record<string, unknown> & { from_position: bigint; from_us: bigint }

/** What is selected of a table, known as `alias`, to have its rows in memory. */
export function selectedColumns({ columns }: TableColumns, alias: string): string {
  const names = columns.map(({ name }) => `${alias}."${name}"`).join(', ')
  return `${names}, ${alias}.from_position, (extract(epoch from ${alias}.valid_from) * 1000000)::int8 as from_us`
}

/** A selected row as memory has it. */
export function loadedVersion({ from_position, from_us, ...values }: StoredRow): RowVersion {
  const row = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, plain(value)]))
  return { row, fromPosition: from_position, fromUs: from_us }
}

/** Bytes as any other bytes, so that a loaded row equals the one that was written. */
function plain(value: unknown): unknown {
  return Buffer.isBuffer(value) ? new Uint8Array(value) : value
}
