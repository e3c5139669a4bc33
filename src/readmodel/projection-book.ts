import type { ClientBase } from 'pg'
import type { CommitStatement } from '../eventstore/commit-participant.ts'
import type { LogHead } from '../eventstore/recorded-event.ts'
import type { Projection } from './projection.ts'
import type { DeadLetter } from './dead-letters.ts'
import { tableNames } from './projection-code.ts'
import { createTables } from './projection-tables.ts'

/** What is written down of a projection: `position` is null while it is live. */
export interface ProjectionRow {
  readonly name: string
  readonly version: number
  readonly state: 'building' | 'behind' | 'live' | 'following'
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

/** What is written down of the projections. */
export async function readProjections(client: Pick<ClientBase, 'query'>): Promise<readonly ProjectionRow[]> {
  const { rows } = await client.query<ProjectionRow>(
    'select name, version, state, position, tables from projection order by name',
  )
  return rows
}

/** Whether what is written down is of the same version and tables, so that it can be followed on. */
export function isSameProjection(row: ProjectionRow, projection: Projection): boolean {
  return row.version === projection.version && tableNames(projection).join() === row.tables.join()
}

/** How far the tables of a background projection are; null where they are another version's, or none. */
export async function readPosition(client: ClientBase, projection: Projection): Promise<bigint | null> {
  const row = (await readProjections(client)).find(({ name }) => name === projection.name)
  return row !== undefined && isSameProjection(row, projection) ? row.position : null
}

/** Makes the tables of a projection that has none, empty. */
export async function createEmpty(
  client: ClientBase,
  projection: Projection,
  { sql }: { readonly sql: string },
): Promise<void> {
  await client.query('begin')
  try {
    await createTables(client, projection, { schema: 'public', sql })
    await setPosition(client, projection, { state: projection.live ? 'building' : 'following', position: -1n })
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw new Error(`Cannot build projection "${projection.name}"`, { cause: error })
  }
}

/** Says which version of a live projection serves now. */
export async function keepLive(client: ClientBase, projection: Projection): Promise<void> {
  const { rowCount } = await client.query(
    `update public.projection set version = $2::int4, tables = $3::text[] where name = $1::text and state = 'live'`,
    [projection.name, projection.version, tableNames(projection)],
  )
  if (rowCount !== 1) throw new Error(`Cannot switch projection "${projection.name}": it is not live`)
}

/** Writes down how far a projection is whose tables have just been put in place. */
export async function setPosition(
  client: ClientBase,
  projection: Projection,
  { state, position }: { readonly state: 'building' | 'behind' | 'following'; readonly position: bigint },
): Promise<void> {
  await client.query(
    `insert into public.projection (name, version, tables, state, position) values ($1::text, $2::int4, $3::text[], $4::text, $5::int8)
      on conflict (name) do update set version = excluded.version, tables = excluded.tables, state = excluded.state,
        position = excluded.position`,
    [projection.name, projection.version, tableNames(projection), state, position],
  )
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
  { schema }: { readonly schema: string } = { schema: 'public' },
): Promise<readonly DeadLetter[]> {
  const { rows } = await client.query<DeadLetter>(
    `select projection, stream, position, at_us as "atUs", attempts, last_tried_at_us as "lastTriedAtUs", error
      from "${schema}".dead_letter where projection = any ($1::text[])`,
    [projections.map(({ name }) => name)],
  )
  return rows
}
