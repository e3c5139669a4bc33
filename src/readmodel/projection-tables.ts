import type { ClientBase } from 'pg'
import { grantReadModels } from '../eventstore/log-roles.ts'
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
  await runSql(client, projection, { schema, sql })
  for (const table of Object.values(projection.tables)) await addKeys(client, { schema, table, live: projection.live })
}

/**
 * The same in two steps, for tables that are filled in between: first without keys and indexes, and what is returned adds them all. Runs
 * in the caller's transaction, as the function does later.
 */
export async function createBareTables(
  client: ClientBase,
  projection: Projection,
  { schema, sql }: TablesSource,
): Promise<() => Promise<void>> {
  await runSql(client, projection, { schema, sql })
  await refuseOtherThings(client, schema)
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    `select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition
      from pg_index i join pg_class c on c.oid = i.indexrelid
      where c.relnamespace = to_regnamespace(quote_ident($1::text))
        and not exists (select 1 from pg_constraint k where k.conindid = i.indexrelid)`,
    [schema],
  )
  for (const { name } of indexes) await client.query(`drop index ${name}`)
  return async () => {
    for (const { definition } of indexes) await client.query(definition)
    for (const table of Object.values(projection.tables)) {
      await addKeys(client, { schema, table, live: projection.live })
      await client.query(`analyze "${schema}"."${table.name}"`)
    }
  }
}

async function runSql(client: ClientBase, projection: Projection, { schema, sql }: TablesSource): Promise<void> {
  await client.query(`set local search_path = "${schema}", public`)
  await client.query(sql)
  await readColumns(client, { schema, tables: Object.values(projection.tables) })
  await client.query('set local search_path to default')
  const names = Object.values(projection.tables).map(({ name }) => `'${name}'`)
  await client.query(grantReadModels(schema, `array[${names.join(', ')}]::text[]`))
}

async function addKeys(
  client: ClientBase,
  { schema, table, live }: { readonly schema: string; readonly table: AnyTable; readonly live: boolean },
): Promise<void> {
  const key = table.key.map((column) => `"${column}"`).join(', ')
  const name = `"${schema}"."${table.name}"`
  await client.query(`
    alter table ${name} add constraint "${table.name}_ends" unique (${key}, to_position);
    alter table ${name} add constraint "${table.name}_versions" check (
      (to_position is null) = (valid_to is null) and (to_position is null or to_position > from_position));
    alter table ${name} replica identity full;
    create unique index "${table.name}_current" on ${name} (${key}) where to_position is null`)
  // Rows that are in memory are found there.
  for (const index of live ? [] : table.indexNames) {
    const column = table.indexColumn(index)
    if (column !== null) await client.query(`create index on ${name} ("${column}") where to_position is null`)
  }
}

/** A switch moves tables and views; whatever else the SQL made would be left behind. */
async function refuseOtherThings(client: ClientBase, schema: string): Promise<void> {
  const { rows } = await client.query<{ what: string }>(
    `select 'function ' || proname as what from pg_proc where pronamespace = to_regnamespace(quote_ident($1::text))
      union all select 'type ' || typname from pg_type t left join pg_class c on c.oid = t.typrelid
        where typnamespace = to_regnamespace(quote_ident($1::text)) and typcategory <> 'A' and (c.oid is null or c.relkind = 'c')
      union all select 'materialized view ' || relname from pg_class
        where relnamespace = to_regnamespace(quote_ident($1::text)) and relkind = 'm'`,
    [schema],
  )
  const [first] = rows
  if (first === undefined) return
  throw new Error(`its SQL makes ${first.what}; that of a projection may make tables, indexes and views`)
}

/** Reads the columns of all tables of some projections. */
export async function readAllColumns(
  client: ClientBase,
  { schema, projections }: { readonly schema: string; readonly projections: readonly Projection[] },
): Promise<ReadonlyMap<AnyTable, TableColumns>> {
  return await readColumns(client, { schema, tables: projections.flatMap(({ tables }) => Object.values(tables)) })
}

/** Puts the rows of a table that are current, or were right after the event at a position, into memory. */
export async function loadRows(
  client: Pick<ClientBase, 'query'>,
  {
    schema,
    columns,
    into,
    at,
    limit,
  }: { schema: string; columns: TableColumns; into: RowSet; at?: bigint; limit?: number },
): Promise<void> {
  const table = `"${schema}"."${columns.table.name}"`
  const valid =
    at === undefined ? 'to_position is null' : `from_position <= ${at} and (to_position is null or to_position > ${at})`
  const { rows } = await client.query<StoredRow>(
    `select ${selectedColumns(columns, 't')} from ${table} t where ${valid}${limit === undefined ? '' : ` limit ${limit + 1}`}`,
  )
  if (limit !== undefined && rows.length > limit) {
    throw new Error(`Cannot load "${columns.table.name}": it has more than ${limit} rows, read it by SQL`)
  }
  for (const stored of rows) {
    const version = loadedVersion(stored)
    into.set(rowKey(columns.table, version.row), version)
  }
}

const pageRows = 2_000

/** The same for all current rows, page by page, so that whoever else waits in this process is served in between. */
export async function loadRowsInPages(
  client: ClientBase,
  { schema, columns, into }: { schema: string; columns: TableColumns; into: RowSet },
): Promise<void> {
  await client.query('begin transaction isolation level repeatable read')
  await client.query(
    `declare current_rows no scroll cursor for
      select ${selectedColumns(columns, 't')} from "${schema}"."${columns.table.name}" t where to_position is null`,
  )
  for (;;) {
    const { rows } = await client.query<StoredRow>(`fetch ${pageRows} from current_rows`)
    for (const stored of rows) {
      const version = loadedVersion(stored)
      into.set(rowKey(columns.table, version.row), version)
    }
    if (rows.length < pageRows) break
  }
  await client.query('commit')
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
