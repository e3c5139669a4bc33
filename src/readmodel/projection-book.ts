import type { ClientBase } from 'pg'
import type { CommitStatement } from '../eventstore/commit-participant.ts'
import type { LogHead } from '../eventstore/recorded-event.ts'
import type { Projection } from './projection.ts'
import type { DeadLetter } from './dead-letters.ts'
import { createTables } from './projection-tables.ts'

interface ProjectionRow {
  readonly name: string
  readonly version: number
  readonly state: 'building' | 'behind' | 'live'
  readonly position: bigint | null
  readonly tables: readonly string[]
}

/**
 * Goes into the fence commit, which follows `before`: from here on the live projections are behind, at the last commit of the writer in
 * whose commits they were changed. A writer without read models may have come between.
 */
export function leaveLive(before: LogHead): CommitStatement {
  return {
    name: 'projections_behind',
    sql: `update projection set state = 'behind', position = case when epoch = $2::int4 then $1::int8
        else (select max(last_pos) from commit c where c.epoch = projection.epoch) end
      where state = 'live'`,
    values: [String(before.position), String(before.epoch)],
    expectedRows: null,
  }
}

/** Moves the position of projections, from where they were and no other. */
export function movePosition(
  projections: Iterable<Projection>,
  { from, to }: { from: bigint; to: bigint },
): CommitStatement {
  const names = [...projections].map(({ name }) => name)
  return {
    name: 'projections_moved',
    sql: `update projection set position = $2::int8
      where name in (select json_array_elements_text($1::json)) and position = $3::int8 returning 1`,
    values: [JSON.stringify(names), String(to), String(from)],
    expectedRows: names.length,
  }
}

/** The position up to which each projection's tables are built; those of another version, or none, are made anew and empty. */
export async function preparePositions(
  client: ClientBase,
  projections: readonly Projection[],
  { schema, sqlOf }: { readonly schema: string; readonly sqlOf: (projection: Projection) => Promise<string> },
): Promise<ReadonlyMap<Projection, bigint>> {
  const { rows } = await client.query<ProjectionRow>('select name, version, state, position, tables from projection')
  const positions = new Map<Projection, bigint>()
  for (const projection of projections) {
    const row = rows.find((each) => each.name === projection.name)
    const names = tableNames(projection)
    const same = row?.version === projection.version && names.join() === row.tables.join()
    if (!same) await rebuild(client, projection, { schema, sql: await sqlOf(projection), old: row?.tables ?? [] })
    positions.set(projection, same ? (row.position ?? -1n) : -1n)
  }
  return positions
}

/** Says that projections follow every commit from now on; they are at the end of the log. */
export async function enterLive(client: ClientBase, projections: readonly Projection[], head: LogHead): Promise<void> {
  const names = projections.map(({ name }) => name)
  const { rowCount } = await client.query(
    `update projection set state = 'live', position = null, epoch = $3::int4 where name = any ($1::text[]) and position = $2::int8`,
    [names, head.position, head.epoch],
  )
  if (rowCount !== names.length)
    throw new Error(`Cannot open the read models: they are not all at position ${head.position}`)
}

/** The quarantined streams of projections. */
export async function readDeadLetters(
  client: ClientBase,
  projections: readonly Projection[],
): Promise<readonly DeadLetter[]> {
  const { rows } = await client.query<DeadLetter>(
    `select projection, stream, position, at_us as "atUs", attempts, last_tried_at_us as "lastTriedAtUs", error
      from dead_letter where projection = any ($1::text[])`,
    [projections.map(({ name }) => name)],
  )
  return rows
}

async function rebuild(
  client: ClientBase,
  projection: Projection,
  { schema, sql, old }: { readonly schema: string; readonly sql: string; readonly old: readonly string[] },
): Promise<void> {
  await client.query('begin')
  try {
    for (const table of old) await client.query(`drop table if exists "${schema}"."${table}" cascade`)
    await createTables(client, projection, { schema, sql })
    await client.query('delete from dead_letter where projection = $1::text', [projection.name])
    await client.query(
      `insert into projection (name, version, state, position, tables) values ($1::text, $2::int4, 'building', -1, $3::text[])
        on conflict (name) do update set version = excluded.version, state = excluded.state, position = excluded.position,
          tables = excluded.tables`,
      [projection.name, projection.version, tableNames(projection)],
    )
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw new Error(`Cannot build projection "${projection.name}"`, { cause: error })
  }
}

function tableNames(projection: Projection): readonly string[] {
  return Object.values(projection.tables)
    .map(({ name }) => name)
    .toSorted()
}
