import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { ClientBase } from 'pg'
import { buildSchema } from './projection-build.ts'
import { keepLive, setPosition } from './projection-book.ts'
import { tableNames } from './projection-code.ts'
import type { Projection } from './projection.ts'
import { ReadModelRefusal } from './read-model-refusal.ts'
import { ownSchema, type ScratchSchema } from './scratch-schema.ts'
import { retiredSchema, type SwitchedTables, switchTables } from './switch-tables.ts'

/** What is written down of a build. */
export interface BuildRow {
  readonly name: string
  readonly version: number
  readonly code: string
  readonly state: 'filling' | 'ready'
  readonly position: bigint
  readonly startedAtUs: bigint
}

/** What has taken whose place. */
export interface BuildSwitched extends SwitchedTables {
  readonly projection: string
  readonly version: number
  /** Position of the last event in the new tables. */
  readonly position: bigint
}

/** The state in which the projection is afterwards: a live one keeps its end at every commit, the others have a position. */
export type StateAfter = 'live' | 'behind' | 'following'

/** How a build is put in place. */
export interface BuildSwitch {
  readonly projection: Projection
  readonly after: StateAfter
  readonly lockTimeoutMs: number
  readonly misfits: 'refuse' | 'drop'
}

/** The builds that are under way or ready; one whose schema is gone, as after a restore, is none. */
export async function readBuilds(client: Pick<ClientBase, 'query'>): Promise<readonly BuildRow[]> {
  const { rows } = await client.query<BuildRow>(
    `select name, version, code, state, position, started_at_us as "startedAtUs" from projection_build
      where to_regnamespace(quote_ident(schema_name)) is not null order by name`,
  )
  return rows
}

/** A place to put the former tables; disposing it drops them. */
export async function ownRetired(pool: pg.Pool, projection: Projection): Promise<ScratchSchema> {
  return ownSchema(pool, { name: retiredSchema(projection.name) })
}

/** Puts a build that is complete up to where it is to serve from in the place of the tables that serve; see {@link switchTables}. */
export async function switchBuild(client: ClientBase, swap: BuildSwitch): Promise<BuildSwitched> {
  const { projection, after, lockTimeoutMs, misfits } = swap
  const { name, version } = projection
  const built = buildSchema(projection)
  const { rows } = await client.query<{ position: bigint; tables: readonly string[] }>(
    `select b.position, coalesce(p.tables, '{}') as tables from projection_build b left join projection p using (name)
      where b.name = $1::text`,
    [name],
  )
  const [row] = rows
  if (row === undefined) throw new Error(`Cannot switch projection "${name}": there is no build of it`)
  const tables = { oldTables: row.tables, newTables: tableNames(projection) }
  const switched = await switchTables(
    client,
    { projection: name, built, lockTimeoutMs, misfits, ...tables },
    async () => {
      await (after === 'live'
        ? keepLive(client, projection)
        : setPosition(client, projection, { state: after, position: row.position }))
      await client.query('delete from public.dead_letter where projection = $1::text', [name])
      await client.query(`insert into public.dead_letter select * from "${built}".dead_letter`)
      await client.query('delete from public.projection_build where name = $1::text', [name])
    },
  )
  return { ...switched, projection: name, version, position: row.position }
}

const firstPauseMs = 20
const longestPauseMs = 500

/**
 * Tries until readers let the tables go, each try so short that nobody is held up. Throws after the limit, naming the sessions that hold
 * them.
 */
export async function untilUnlocked<T>(
  attempt: () => Promise<T>,
  {
    pool,
    projection,
    limitMs,
    signal,
  }: { pool: pg.Pool; projection: Projection; limitMs: number; signal?: AbortSignal },
): Promise<T> {
  const endMs = performance.now() + limitMs
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    signal?.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      if (!isLocked(error)) throw error
      if (performance.now() < endMs) {
        await sleep(pauseMs, undefined, signal === undefined ? {} : { signal })
        continue
      }
      throw new ReadModelRefusal(
        `Cannot switch projection "${projection.name}": ${await holdersOf(pool, projection)} for more than ${limitMs / 1000} s; the build is kept, end them and switch again`,
        { cause: error },
      )
    }
  }
}

function isLocked(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '55P03' || error.code === '40P01')
}

async function holdersOf(pool: pg.Pool, projection: Projection): Promise<string> {
  const { rows } = await pool.query<{ pid: number; program: string; state: string | null }>(
    `select distinct a.pid, a.application_name as program, a.state from pg_locks l join pg_stat_activity a using (pid)
      where l.granted and l.relation = any (select c.oid from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relname = any ($1::text[])) and a.pid <> pg_backend_pid()`,
    [tableNames(projection)],
  )
  const sessions = rows.map(({ pid, program, state }) => `${pid} ("${program}", ${state ?? 'unknown'})`)
  return sessions.length === 0 ? 'readers hold its tables' : `its tables are held by session ${sessions.join(', ')}`
}
