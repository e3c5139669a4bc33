import type { ClientBase } from 'pg'
import { embeddedRole } from './embedded-settings.ts'
import { readerRole } from './log-roles.ts'

/** A login for a reporting tool: it may read views and read models, and write nothing. Limits are the server's, whatever the tool asks for. */
export interface ReportingLogin {
  readonly name: string
  /** Connections at a time. */
  readonly connections: number
  /** Longest statement, and longest time in a transaction without one, in seconds. */
  readonly statementS: number
  readonly idleS: number
}

const loginName = /^[a-z_][a-z0-9_]{0,62}$/

/** Whether a login may be called so. */
export function isLoginName(name: string): boolean {
  return (
    loginName.test(name) && !/^(pg_|chronovisor)/.test(name) && !['public', 'none', 'postgres', 'root'].includes(name)
  )
}

/**
 * What anybody may do on a new server and a reader of a log has no use for: temporary tables, large objects, and the advisory locks by which
 * the writer and rebuilds keep others out.
 */
const closed = `do $$
declare
  found record;
begin
  execute format('revoke temporary on database %I from public', current_database());
  for found in select p.oid::regprocedure as name from pg_proc p
    where p.pronamespace = 'pg_catalog'::regnamespace
      and (p.proname in ('lo_creat', 'lo_create', 'lo_from_bytea') or p.proname ~ '^pg_(try_)?advisory_(xact_)?lock')
  loop
    execute format('revoke execute on function %s from public', found.name);
  end loop;
end $$`

/** Makes a login, or gives one that is there these limits. The role of this connection owns the server. */
export async function makeLogin(client: ClientBase, login: ReportingLogin): Promise<void> {
  const { name, connections, statementS, idleS } = login
  if (!isLoginName(name)) throw new Error(`Cannot make the login "${name}": its name is not a plain one`)
  const settings = [
    ['default_transaction_read_only', 'on'],
    ['statement_timeout', `${statementS}s`],
    ['idle_in_transaction_session_timeout', `${idleS}s`],
    ['search_path', 'public'],
    ['timezone', 'UTC'],
  ]
  await client.query('begin')
  try {
    const { rows } = await client.query('select from pg_roles where rolname = $1::text', [name])
    if (rows.length === 0) await client.query(`create role "${name}" login`)
    await client.query(`alter role "${name}" connection limit ${connections}`)
    for (const [setting, value] of settings) await client.query(`alter role "${name}" set ${setting} = '${value}'`)
    await client.query(`grant ${readerRole} to "${name}"`)
    await client.query(closed)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

/** Removes a login and ends its connections; false where there is none. */
export async function dropLogin(client: ClientBase, name: string): Promise<boolean> {
  const logins = await readLogins(client)
  if (!logins.some((login) => login.name === name)) return false
  await client.query(`alter role "${name}" nologin`)
  await client.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1::name', [name])
  await client.query(`drop owned by "${name}"; drop role "${name}"`)
  return true
}

/** The logins that there are. */
export async function readLogins(client: ClientBase): Promise<readonly ReportingLogin[]> {
  const { rows } = await client.query<{ name: string; connections: number; settings: readonly string[] | null }>(
    `select r.rolname as name, r.rolconnlimit as connections, r.rolconfig as settings
      from pg_roles r join pg_auth_members m on m.member = r.oid and m.roleid = to_regrole('${readerRole}')
      where r.rolcanlogin and r.rolname <> '${embeddedRole}' order by 1`,
  )
  return rows.map(({ name, connections, settings }) => ({
    ...{ name, connections },
    statementS: secondsOf(settings, 'statement_timeout'),
    idleS: secondsOf(settings, 'idle_in_transaction_session_timeout'),
  }))
}

function secondsOf(settings: readonly string[] | null, name: string): number {
  const value = settings?.find((setting) => setting.startsWith(`${name}=`))?.slice(name.length + 1) ?? '0'
  return Number(value.replace(/s$/, ''))
}
