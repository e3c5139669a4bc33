import type { ClientBase } from 'pg'
import { messageOf, postgresFailure } from '../eventstore/postgres-failure.ts'
import { ReadModelRefusal } from './read-model-refusal.ts'

/** What takes whose place. */
export interface TableSwitch {
  readonly projection: string
  /** Schema of the tables that were built. */
  readonly built: string
  /** SQL names of the tables that serve, and of those that will. */
  readonly oldTables: readonly string[]
  readonly newTables: readonly string[]
  /** Longest wait for readers that have not ended their transaction; appends may wait as long. */
  readonly lockTimeoutMs: number
  /** What becomes of somebody's view that does not fit the new tables: the switch is refused, or the view is dropped and its text told. */
  readonly misfits: 'refuse' | 'drop'
}

/** What a switch did: how long readers of the tables had to wait at most, and the views that had to go, as SQL. */
export interface SwitchedTables {
  readonly lockedMs: number
  readonly droppedViews: readonly string[]
}

/** The schema in which the former tables wait to be dropped. */
export function retiredSchema(projection: string): string {
  return `retired_${projection}`
}

/**
 * Puts built tables in the place of those that serve, in one transaction. Queries wait for it and then find the new tables by the same
 * names: views are bound to them again, rights are taken over, and statements that were prepared are planned anew. Former tables go to
 * {@link retiredSchema}, which the caller has made. `book` writes down what belongs to it in the same transaction. Throws with SQLSTATE
 * 55P03 where readers hold the tables for too long.
 */
export async function switchTables(
  client: ClientBase,
  swap: TableSwitch,
  book: () => Promise<void>,
): Promise<SwitchedTables> {
  await client.query('begin')
  try {
    const old = await existing(client, swap.oldTables)
    await client.query(`set local lock_timeout = ${swap.lockTimeoutMs}; set local search_path = pg_catalog`)
    for (const grant of await readGrants(client, { swap, old })) await client.query(grant)
    const views = await readViews(client, old)
    await book()
    const startMs = performance.now()
    // In the order in which readers take their locks: first the views, then what is below them.
    for (const view of views) await rebind(client, view)
    await client.query(movesOf(swap, old).join('; '))
    const droppedViews = await placeViews(client, { swap, views })
    await client.query('commit')
    return { lockedMs: performance.now() - startMs, droppedViews }
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

function movesOf(swap: TableSwitch, old: readonly string[]): readonly string[] {
  const names = old.map((table) => `public."${table}"`)
  return [
    ...(names.length === 0 ? [] : [`lock table ${names.join(', ')} in access exclusive mode`]),
    ...names.map((name) => `alter table ${name} set schema "${retiredSchema(swap.projection)}"`),
    ...swap.newTables.map((table) => `alter table "${swap.built}"."${table}" set schema public`),
  ]
}

interface View {
  /** With its schema, quoted. */
  readonly name: string
  readonly kind: 'view' | 'materialized view'
  /** Its storage parameters, with `security_barrier` and the like; null for none. */
  readonly options: string | null
  readonly definition: string
}

async function existing(client: ClientBase, tables: readonly string[]): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
      and relname = any ($1::text[]) order by 1`,
    [tables],
  )
  return rows.map(({ name }) => name)
}

/** Views that stand directly on tables; what stands on them in turn is bound to them, not to the tables. */
async function readViews(client: ClientBase, tables: readonly string[]): Promise<readonly View[]> {
  const { rows } = await client.query<View>(
    `select distinct on (v.oid) format('%I.%I', n.nspname, v.relname) as name,
        case v.relkind when 'm' then 'materialized view' else 'view' end as kind, pg_get_viewdef(v.oid) as definition,
        array_to_string(v.reloptions, ', ') as options
      from pg_depend d join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
        join pg_class v on v.oid = r.ev_class join pg_namespace n on n.oid = v.relnamespace
        join pg_class t on d.refclassid = 'pg_class'::regclass and t.oid = d.refobjid
      where t.relnamespace = 'public'::regnamespace and t.relname = any ($1::text[]) and v.oid <> t.oid and v.relkind in ('v', 'm')
      order by v.oid`,
    [tables],
  )
  return rows
}

/** Statements that give the new tables the rights that were given on the old ones, columns included. */
async function readGrants(
  client: ClientBase,
  { swap, old }: { readonly swap: TableSwitch; readonly old: readonly string[] },
): Promise<readonly string[]> {
  const { rows } = await client.query<{ text: string }>(
    `with granted as (
        select c.oid, c.relname, c.relowner, null::name as attname, (aclexplode(c.relacl)).* from pg_class c
        union all
        select c.oid, c.relname, c.relowner, a.attname, (aclexplode(a.attacl)).*
          from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
      select format('grant %s%s on %I.%I to %s%s', privilege_type, ' (' || quote_ident(attname) || ')', $1::text, relname,
          case grantee when 0 then 'public' else grantee::regrole::text end,
          case when is_grantable then ' with grant option' else '' end) as text
      from granted g
      where relname = any ($2::text[]) and oid = to_regclass('public.' || quote_ident(relname)) and grantee <> relowner
        and exists (select 1 from pg_class n where n.oid = to_regclass(quote_ident($1::text) || '.' || quote_ident(g.relname))
          and (g.attname is null or exists (
            select 1 from pg_attribute m where m.attrelid = n.oid and m.attname = g.attname and not m.attisdropped)))`,
    [swap.built, old],
  )
  return rows.map(({ text }) => text)
}

/** Binds views to the new tables, those of the projection's own SQL by its text; gives what had to go. */
async function placeViews(
  client: ClientBase,
  { swap, views }: { readonly swap: TableSwitch; readonly views: readonly View[] },
): Promise<readonly string[]> {
  const dropped: string[] = []
  const misfit = async (view: View, why: string) => {
    if (swap.misfits === 'refuse') {
      throw new ReadModelRefusal(
        `Cannot switch projection "${swap.projection}": ${view.kind} ${view.name} does not fit its new tables (${why}); change or drop it first`,
      )
    }
    await client.query(`drop ${view.kind} if exists ${view.name} cascade`)
  }
  const own = await readBuiltViews(client, swap.built)
  for (const { view, shortName } of own) {
    const error = await rebind(client, view)
    if (error !== null) {
      await misfit(view, error)
      await client.query(textOf(view))
    }
    const { rows } = await client.query<{ text: string }>(commentsOf(swap.built, shortName))
    for (const { text } of rows) await client.query(text)
  }
  for (const view of views) {
    if (own.some((each) => each.view.name === view.name)) continue
    const error = await rebind(client, view)
    if (error === null) continue
    await misfit(view, error)
    dropped.push(`create ${view.kind} ${view.name} as ${view.definition}`)
  }
  return dropped
}

/** The views that the projection's SQL has made beside the built tables, which have been moved: under the names that they are to have. */
async function readBuiltViews(
  client: ClientBase,
  schema: string,
): Promise<readonly { readonly view: View; readonly shortName: string }[]> {
  const { rows } = await client.query<{ short: string; name: string; options: string | null; definition: string }>(
    `select relname as short, format('public.%I', relname) as name, array_to_string(reloptions, ', ') as options,
        replace(pg_get_viewdef(oid), $1::text || '.', 'public.') as definition
      from pg_class where relkind = 'v' and relnamespace = to_regnamespace(quote_ident($1::text)) order by oid`,
    [schema],
  )
  return rows.map(({ short, ...view }) => ({ view: { ...view, kind: 'view' }, shortName: short }))
}

/** Has a view stand on what its tables are called now, which also keeps readers of it out; gives why it cannot. */
async function rebind(client: ClientBase, view: View): Promise<string | null> {
  if (view.kind === 'materialized view') return 'a materialized view stands on the tables that it was made from'
  await client.query('savepoint rebind')
  try {
    await client.query(textOf(view))
    await client.query('release savepoint rebind')
    return null
  } catch (error) {
    await client.query('rollback to savepoint rebind')
    if (postgresFailure(error) !== 'poison') throw error
    return messageOf(error)
  }
}

function textOf({ name, options, definition }: View): string {
  return `create or replace view ${name}${options === null ? '' : ` with (${options})`} as ${definition}`
}

function commentsOf(schema: string, view: string) {
  return {
    text: `select format('comment on %s is %L', coalesce('column public.' || quote_ident(v.relname) || '.' || quote_ident(a.attname),
        'view public.' || quote_ident(v.relname)), d.description) as text
      from pg_class v join pg_description d on d.objoid = v.oid and d.classoid = 'pg_class'::regclass
        left join pg_attribute a on a.attrelid = v.oid and a.attnum = d.objsubid and d.objsubid > 0
      where v.oid = to_regclass(quote_ident($1::text) || '.' || quote_ident($2::text))`,
    values: [schema, view],
  }
}
