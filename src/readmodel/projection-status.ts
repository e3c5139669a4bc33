import type { ClientBase } from 'pg'
import { readBuilds } from './build-switch.ts'
import { type ProjectionRow, readProjections } from './projection-book.ts'

/** How far a projection is, and how big. */
export interface ProjectionStatus {
  readonly name: string
  readonly version: number
  /** As it is written down: live ones have no position of their own, they are at the end of the log by construction. */
  readonly state: ProjectionRow['state']
  /** What the process that follows it does beside that: builds it anew, or waits after a failure. */
  readonly activity?: 'building' | 'waiting'
  /** The last event that its tables hold. */
  readonly position: bigint
  readonly lagEvents: bigint
  /** Age of the oldest event that its tables do not hold. */
  readonly lagSeconds: number
  readonly deadLetters: number
  readonly tables: readonly TableStatus[]
  /** A build beside it, where there is one. */
  readonly build: BuildStatus | null
}

/** A table of a read model: current rows (an estimate of the database where there are many) and bytes on disk, indexes included. */
export interface TableStatus {
  readonly name: string
  readonly rows: bigint
  readonly sizeBytes: bigint
}

/** A build beside what serves. */
export interface BuildStatus {
  readonly version: number
  readonly state: 'filling' | 'ready'
  readonly position: bigint
  readonly startedAtUs: bigint
}

// Counting fewer is quick, and the database knows more of a big table than of a small one.
const countedRows = 10_000n

/** Reads how far the projections of a log are, beside whoever follows them. */
export async function readProjectionStatus(
  client: Pick<ClientBase, 'query'>,
  { nowUs }: { readonly nowUs: bigint },
): Promise<readonly ProjectionStatus[]> {
  const { rows: letters } = await client.query<{ projection: string; count: number }>(
    'select projection, count(*)::int4 as count from dead_letter group by 1',
  )
  const { rows: ends } = await client.query<{ last: bigint }>('select coalesce(max(last_pos), -1) as last from commit')
  const head = ends[0]?.last ?? -1n
  const builds = await readBuilds(client)
  const found: ProjectionStatus[] = []
  for (const { name, version, state, position, tables } of await readProjections(client)) {
    const reached = position ?? head
    const build = builds.find((each) => each.name === name)
    found.push({
      ...{ name, version, state, position: reached, lagEvents: head - reached },
      lagSeconds: head === reached ? 0 : await lagSeconds(client, { position: reached, nowUs }),
      deadLetters: letters.find(({ projection }) => projection === name)?.count ?? 0,
      tables: await readTables(client, tables),
      build: build === undefined ? null : buildStatus(build),
    })
  }
  return found
}

function buildStatus({ version, state, position, startedAtUs }: BuildStatus): BuildStatus {
  return { version, state, position, startedAtUs }
}

async function lagSeconds(
  client: Pick<ClientBase, 'query'>,
  { position, nowUs }: { readonly position: bigint; readonly nowUs: bigint },
): Promise<number> {
  const { rows } = await client.query<{ at_us: bigint }>(
    'select at_us from commit where last_pos > $1::int8 order by last_pos limit 1',
    [position],
  )
  const atUs = rows[0]?.at_us ?? nowUs
  return nowUs > atUs ? Number(nowUs - atUs) / 1e6 : 0
}

async function readTables(
  client: Pick<ClientBase, 'query'>,
  names: readonly string[],
): Promise<readonly TableStatus[]> {
  const { rows } = await client.query<{ name: string; size: bigint; estimate: bigint | null }>(
    `select t.relname as name, pg_total_relation_size(t.oid) as size, i.reltuples::int8 as estimate
      from pg_class t left join pg_class i on i.relnamespace = t.relnamespace and i.relname = t.relname || '_current'
      where t.relnamespace = 'public'::regnamespace and t.relname = any ($1::text[]) order by 1`,
    [names],
  )
  const tables: TableStatus[] = []
  for (const { name, size, estimate } of rows) {
    const many = estimate !== null && estimate > countedRows
    tables.push({ name, sizeBytes: size, rows: many ? estimate : await countRows(client, name) })
  }
  return tables
}

async function countRows(client: Pick<ClientBase, 'query'>, table: string): Promise<bigint> {
  const { rows } = await client.query<{ count: bigint }>(
    `select count(*) as count from public."${table}" where to_position is null`,
  )
  return rows[0]?.count ?? 0n
}
