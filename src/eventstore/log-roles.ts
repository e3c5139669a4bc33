import type { ClientBase } from 'pg'
import { messageOf } from './postgres-failure.ts'

/** Who appends: rights to add to the log and to change read models, none to change what is in the log. */
export const writerRole = 'chronovisor_writer'
/** Who may read views and read models: every reporting login is a member. */
export const readerRole = 'chronovisor_reader'

/** What the writer may do beside reading; what is not here, it may only read. One row for each table of the log. */
const writerRights = [
  { table: 'commit', rights: 'insert' },
  { table: 'event', rights: 'insert' },
  { table: 'stream', rights: 'insert' },
  { table: 'category', rights: 'insert' },
  { table: 'event_type', rights: 'insert' },
  { table: 'type_block', rights: 'insert' },
  { table: 'category_block', rights: 'insert' },
  { table: 'blob', rights: 'insert' },
  { table: 'tile', rights: 'insert' },
  { table: 'request', rights: 'insert' },
  { table: 'projection', rights: 'insert, update, delete' },
  { table: 'dead_letter', rights: 'insert, update, delete' },
] as const

/** Tables of the log that reporting tools may read beside views and read models. */
const reported = [
  'log',
  'commit',
  'stream',
  'category',
  'event_type',
  'blob',
  'signed_checkpoint',
  'projection',
  'dead_letter',
]

const tries = 5

/**
 * Makes the roles where this server has none, and gives them their rights on this log; again and again with the same result. The roles belong
 * to the server: a reader of one log may read all that are there. Returns why not where the role of this connection may not do that.
 */
export async function ensureLogRoles(client: ClientBase): Promise<string | null> {
  const { rows } = await client.query<{ settled: boolean | null }>(settledSql)
  if (rows[0]?.settled === true) return null
  for (let left = tries; ; left -= 1) {
    try {
      await client.query('begin')
      await client.query(rolesSql)
      await client.query(rightsSql)
      await client.query('commit')
      return null
    } catch (error) {
      await client.query('rollback').catch(() => undefined)
      const code = error instanceof Error && 'code' in error ? error.code : null
      if (code === insufficientPrivilege) return messageOf(error)
      // Another log of the same server does the same at this moment.
      if (!concurrent.includes(String(code)) || left === 0) throw error
    }
  }
}

const insufficientPrivilege = '42501'
const concurrent = ['23505', '42710', 'XX000', '40001', '40P01']

const memberSql = `select from pg_auth_members m
    where m.roleid = to_regrole('${writerRole}') and m.member = to_regrole(current_user::text)
      and to_jsonb(m) ->> 'set_option' is distinct from 'false'`

// Who has made a role may grant it, also to itself: only then may it change to it.
const rolesSql = `do $$
declare
  wanted text;
begin
  foreach wanted in array array['${writerRole}', '${readerRole}'] loop
    if to_regrole(wanted) is null then execute format('create role %I nologin', wanted); end if;
  end loop;
  if not (select rolsuper from pg_roles where rolname = current_user) and not exists (${memberSql})
  then execute format('grant ${writerRole} to %I', current_user); end if;
end $$`

const rightsSql = [
  `grant usage on schema public to ${writerRole}, ${readerRole}`,
  `revoke execute on function log_add_partition(bigint) from public`,
  `grant execute on function log_erase_payload(bigint, bytea, bytea[], bigint) to ${writerRole}`,
  `grant select on all tables in schema public to ${writerRole}`,
  ...writerRights.map(({ table, rights }) => `grant ${rights} on ${table} to ${writerRole}`),
  `grant select on ${reported.join(', ')} to ${readerRole}`,
  grantReadModels('public', 'array(select unnest(tables) from projection)'),
].join(';\n')

/** Whether all of that is so already: one look instead of a dozen changes of the catalogue. Null where there is no such role. */
const settledSql = `
  with roles as (select to_regrole('${writerRole}')::oid as writer, to_regrole('${readerRole}')::oid as reader),
    own as (
      select c.oid, c.relkind, c.relkind in ('v', 'm') or c.relkind = 'r' and c.relname in (select unnest(tables) from projection) as is_model
      from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm'))
  select (((select rolsuper from pg_roles where rolname = current_user) or exists (${memberSql}))
    and has_schema_privilege(writer, 'public', 'usage') and has_schema_privilege(reader, 'public', 'usage')
    and not has_function_privilege(reader, 'log_add_partition(bigint)', 'execute')
    and has_function_privilege(writer, 'log_erase_payload(bigint, bytea, bytea[], bigint)', 'execute')
    and (select bool_and(has_table_privilege(writer, own.oid, 'select')) from own)
    and (select bool_and(has_table_privilege(reader, own.oid, 'select')) from own where is_model)
    and (select coalesce(bool_and(has_table_privilege(writer, own.oid, r)), true)
      from own, unnest(array['insert', 'update', 'delete']) as r where is_model and relkind = 'r')
    and (select bool_and(has_table_privilege(writer, t, r)) from (values ${writerRights
      .flatMap(({ table, rights }) => rights.split(', ').map((right) => `('${table}', '${right}')`))
      .join(', ')}) as wanted (t, r))
    and (select bool_and(has_table_privilege(reader, t, 'select')) from unnest(array['${reported.join("', '")}']) as t)) as settled
  from roles`

/**
 * SQL that gives the roles, where there are any, their rights on the read models' tables in a schema, which the expression `tables` (a
 * text[]) names, and on all of its views.
 */
export function grantReadModels(schema: string, tables: string): string {
  return `do $$
declare
  found record;
begin
  if to_regrole('${writerRole}') is null or to_regrole('${readerRole}') is null then return; end if;
  for found in select format('%I.%I', n.nspname, c.relname) as name, c.relkind as kind
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = '${schema}' and (c.relkind in ('v', 'm') or c.relkind = 'r' and c.relname = any (${tables}))
      and pg_has_role(c.relowner, 'usage')
  loop
    execute format('grant select on %s to ${writerRole}, ${readerRole}', found.name);
    if found.kind = 'r' then execute format('grant insert, update, delete on %s to ${writerRole}', found.name); end if;
  end loop;
end $$`
}
