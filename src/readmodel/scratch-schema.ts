import type pg from 'pg'
import type { ClientBase } from 'pg'

// "chdb" as a number: together with the hash of a schema's name, the advisory lock of whoever fills it
const lockClass = 0x63686462
const marker = 'chronovisor scratch'
// Replays of earlier versions left no mark but their name.
const unmarked = 'replay\\_[0-9a-f]{16}'
const readyDays = 7n

/** A schema that only this session works in; it is dropped at the end unless it is kept. */
export interface ScratchSchema extends AsyncDisposable {
  readonly name: string
  /** The session that holds the lock: with it everything of the schema is left to be swept. */
  readonly client: pg.PoolClient
  /** Drops what is in it. */
  empty(): Promise<void>
  /** Leaves the schema where it is when this session lets go of it. */
  keep(): void
}

/**
 * Makes a schema, or with `existing` takes one over, and holds it by an advisory lock, so that others can tell work from leftovers.
 * Throws where somebody else holds it.
 */
export async function ownSchema(
  pool: pg.Pool,
  { name, existing = false }: { readonly name: string; readonly existing?: boolean },
): Promise<ScratchSchema> {
  const client = await pool.connect()
  let broken = false
  const onError = () => (broken = true)
  client.on('error', onError)
  let kept = existing
  const empty = async () => {
    await client.query(
      `drop schema if exists "${name}" cascade; create schema "${name}"; comment on schema "${name}" is '${marker}'`,
    )
  }
  try {
    if (!(await tryLock(client, name))) {
      throw new Error(`Cannot work in schema "${name}": another process does`)
    }
    if (!existing) await empty()
  } catch (error) {
    await unlock(client, name).catch(() => undefined)
    client.release(true)
    throw error
  }
  return {
    name,
    client,
    empty,
    keep() {
      kept = true
    },
    async [Symbol.asyncDispose]() {
      try {
        // A failed statement may have left its transaction open, and the drop must not wait for what is being cancelled.
        await client.query('rollback')
        if (!kept) await dropScratch(client, name)
        await unlock(client, name)
      } catch {
        broken = true // the server ends the session, and the next sweep finds what it left
      } finally {
        client.removeListener('error', onError)
        client.release(broken)
      }
    },
  }
}

/** Drops a scratch schema and what is written down of it. */
export async function dropScratch(client: ClientBase, name: string): Promise<void> {
  await client.query(`drop schema if exists "${name}" cascade`)
  await client.query('delete from projection_build where schema_name = $1::text', [name])
}

/**
 * Drops what processes that are gone have left: schemas nobody holds and that are no finished builds, and finished builds that nobody
 * wanted for a week. Returns their names.
 */
export async function sweepScratch(client: ClientBase, { nowUs }: { readonly nowUs: bigint }): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select nspname as name from pg_namespace n
      where (obj_description(n.oid, 'pg_namespace') = '${marker}' or (nspname ~ '^${unmarked}$' and not exists (
          select 1 from pg_stat_activity where datname = current_database() and application_name = 'chronovisor replay')))
        and not exists (select 1 from projection_build b
          where b.schema_name = nspname and b.state = 'ready' and b.started_at_us > $1::int8)`,
    [nowUs - readyDays * 86_400_000_000n],
  )
  const dropped: string[] = []
  for (const { name } of rows) {
    if (!(await tryLock(client, name))) continue
    await dropScratch(client, name)
    await unlock(client, name)
    dropped.push(name)
  }
  return dropped
}

async function tryLock(client: ClientBase, name: string): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(
    'select pg_try_advisory_lock($1::int4, hashtext($2::text)) as locked',
    [lockClass, name],
  )
  return rows[0]?.locked === true
}

async function unlock(client: ClientBase, name: string): Promise<void> {
  await client.query('select pg_advisory_unlock($1::int4, hashtext($2::text))', [lockClass, name])
}
