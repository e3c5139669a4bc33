import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { EventStoreOptions } from '../../src/eventstore/open-event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'
import { dropLogin, isLoginName, makeLogin, readLogins } from '../../src/eventstore/reporting-logins.ts'
import { moved, opened } from '../support/account-events.ts'
import { accountModels, accountsTable } from '../support/account-projection.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

/** A log whose writer has a role of its own. */
function openOwn(address: PostgresAddress, options: Partial<EventStoreOptions> = {}): Promise<EventStore> {
  return openLog(address, { roles: 'own', ...options })
}

/** Runs statements one by one with the rights of a role, or as a login; gives what became of each: rows, or an SQLSTATE. */
async function outcomes(
  address: PostgresAddress,
  who: { readonly role: string } | { readonly login: string },
  statements: readonly string[],
): Promise<readonly (number | string | null)[]> {
  const user = 'login' in who ? { user: who.login } : {}
  const client = new pg.Client({ ...clientConfig(address, 'test'), ...user })
  await client.connect()
  try {
    if ('role' in who) await client.query(`set role ${who.role}`)
    const found: (number | string | null)[] = []
    for (const text of statements) {
      found.push(
        await client.query(text).then(
          ({ rowCount }) => rowCount,
          (error: unknown) => (error instanceof pg.DatabaseError ? (error.code ?? '') : String(error)),
        ),
      )
    }
    return found
  } finally {
    await client.end()
  }
}

const denied = '42501'
const logTables = ['log', 'commit', 'event', 'event_0', 'stream', 'category', 'event_type', 'blob', 'tile', 'tree_edge']
const derivedTables = ['signed_checkpoint', 'log_key', 'type_block', 'category_block', 'request', 'schema_migration']

describe('a writer with a role of its own', () => {
  test('changes no right where all are there, and gives again what was taken', async () => {
    const address = await server.createDatabase()
    const run = async (text: string) => (await server.run(address.database ?? '', text)).rows
    const rights = () =>
      run(`select relname, relacl::text, xmin::text from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v') order by relname`)
    const reopened = async () => {
      await using log = await openOwn(address, { participants: [accountModels()] })
      expect(log.rolesProblem).toBeNull()
      await log.append([write('a', [newEvent('Put')])])
    }
    await reopened()
    await reopened() // now also what was made after the rights were given
    const before = await rights()
    await reopened()
    expect(await rights()).toEqual(before)
    for (const taken of [
      'revoke insert on event from chronovisor_writer',
      'revoke select on commit from chronovisor_reader',
      'revoke update on accounts from chronovisor_writer',
      'revoke select on log_events from chronovisor_reader',
      'grant execute on function log_add_partition(bigint) to public',
      'revoke usage on schema public from chronovisor_reader, public',
    ]) {
      await run(taken)
      await reopened()
      expect((await rights()).map(({ relacl }) => relacl)).toEqual(before.map(({ relacl }) => relacl))
    }
    const [left] = await run(`select has_schema_privilege('chronovisor_reader', 'public', 'usage') as uses,
      has_function_privilege('chronovisor_reader', 'log_add_partition(bigint)', 'execute') as executes`)
    expect(left).toEqual({ uses: true, executes: false })
  })

  test('appends, changes read models, and is refused every change of the log', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    await using log = await openOwn(address, { participants: [models] })
    expect(log.rolesProblem).toBeNull()
    await log.append([write('a', [opened()]), write('b', [opened('bob')])])
    await log.append([write('a', [moved(7n)])])
    expect(models.view.rows(accountsTable).get({ id: 'a' })?.balance).toBe(7n)
    const changes = [...logTables, ...derivedTables].flatMap((table) => [
      `delete from ${table}`,
      `truncate ${table} cascade`,
      `alter table ${table} add column x int`,
      `drop table ${table} cascade`,
    ])
    const more = [
      'update event set data = null',
      'update event_0 set meta = null',
      'update commit set root = root',
      'update stream set name = name',
      'alter table event disable trigger all',
      'create table mine (x int)',
      'select log_add_partition(1000000000)',
      "set session_replication_role = 'replica'",
      "copy event to program 'cat'",
    ]
    const found = await outcomes(address, { role: 'chronovisor_writer' }, [...changes, ...more])
    expect(found.filter((each) => each !== denied)).toEqual([])
  })

  test('works with these rights and no others, also after its connection broke', async () => {
    const address = await server.createDatabase()
    await using log = await openOwn(address)
    const database = address.database ?? ''
    await server.run(database, 'revoke insert on event from chronovisor_writer')
    const append = () => log.append([write('a', [newEvent('X')])])
    await expect(append()).rejects.toThrow('permission denied for table event')
    await server.run(
      database,
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'chronovisor writer' and datname = current_database()",
    )
    await vi.waitFor(() => expect(append()).rejects.toThrow('permission denied for table event'), 20_000)
    await server.run(database, 'grant insert on event to chronovisor_writer')
    expect((await append()).events).toHaveLength(1)
  })

  test('opens and rebuilds as before, with the same rights after each start and each switch', async () => {
    const address = await server.createDatabase()
    for (const balance of [5n, 10n]) {
      const models = accountModels()
      await using log = await openOwn(address, { participants: [models] })
      await log.append([write('a', [balance === 5n ? opened() : moved(5n), moved(5n)])])
      const { comparison } = await models.rebuild('accounts', { then: 'switch' })
      expect(comparison.identical).toBe(true)
      await log.append([write('a', [moved(1n)])])
      await models.close()
    }
    const readable = ['select 1 from accounts limit 1', 'select 1 from open_accounts limit 1']
    expect(await outcomes(address, { role: 'chronovisor_reader' }, readable)).toEqual([1, 1])
  })

  test('goes on with the rights of the owner where that may make no roles, and says so', async () => {
    await using alone = await ScratchPostgres.start()
    await alone.run('postgres', 'create role plain login')
    await alone.run('postgres', 'create database plain owner plain')
    await using log = await openOwn({ ...alone.address('plain'), user: 'plain' })
    expect(log.rolesProblem).toContain('permission denied to create role')
    expect((await log.append([write('a', [newEvent('X')])])).events).toHaveLength(1)
  })

  test('may be told to make roles as one that is no superuser', async () => {
    await using alone = await ScratchPostgres.start()
    await alone.run('postgres', 'create role maker login createrole')
    await alone.run('postgres', 'create database maker owner maker')
    const address = { ...alone.address('maker'), user: 'maker' }
    for (let starts = 0; starts < 2; starts += 1) {
      await using log = await openOwn(address)
      expect(log.rolesProblem).toBeNull()
      await log.append([write('a', [newEvent('X')])])
    }
    expect(await outcomes(address, { role: 'chronovisor_writer' }, ['delete from event'])).toEqual([denied])
  })
})

describe('a reporting login', () => {
  const login = { name: 'grafana', connections: 3, statementS: 30, idleS: 60 }

  test('reads views and read models within its limits, and writes nothing whatever it sets', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    await using log = await openOwn(address, { participants: [models] })
    await log.append([write('a', [opened()])])
    const client = new pg.Client(clientConfig(address, 'test'))
    await client.connect()
    await makeLogin(client, { ...login, connections: 9 })
    await makeLogin(client, login)
    expect(await readLogins(client)).toEqual([login])
    const reads = [
      'select * from log_events',
      'select * from accounts',
      'select * from open_accounts',
      'select * from projection',
    ]
    expect(await outcomes(address, { login: 'grafana' }, reads)).toEqual([2, 1, 1, 1])
    const settings = await outcomes(address, { login: 'grafana' }, [
      "select where current_setting('default_transaction_read_only') = 'on' and current_setting('statement_timeout') = '30s'",
      "select where current_setting('idle_in_transaction_session_timeout') = '1min' and current_setting('search_path') = 'public'",
      'create temp table t (x int)',
      'update accounts set balance = 1',
    ])
    expect(settings).toEqual([1, 1, '25006', '25006'])
    const writes = [
      ...['accounts', 'notes', ...logTables, ...derivedTables, 'projection', 'dead_letter', 'writer'].flatMap(
        (table) => [`delete from ${table}`, `truncate ${table} cascade`, `insert into ${table} select * from ${table}`],
      ),
      'update accounts set balance = 1',
      'create table mine (x int)',
      'create temp table t (x int)',
      'create schema mine',
      'select lo_create(0)',
      'select pg_advisory_lock(1)',
      'select pg_try_advisory_xact_lock(1, 2)',
      'select log_add_partition(1000000000)',
      "select log_erase_payload(0, ''::bytea, array[]::bytea[], 0)",
      'set role chronovisor_writer',
      'select * from request',
      'select * from event',
    ]
    const found = await outcomes(address, { login: 'grafana' }, ['set default_transaction_read_only = off', ...writes])
    expect(writes.filter((_text, at) => found[at + 1] !== denied)).toEqual([])
    expect(await dropLogin(client, 'grafana')).toBe(true)
    expect(await dropLogin(client, 'grafana')).toBe(false)
    expect(await readLogins(client)).toEqual([])
    await client.end()
  })

  test.each(['chronovisor', 'pg_x', 'Grafana', 'a b', 'a"b', '', 'postgres', 'public', 'x'.repeat(64)])(
    'is not called "%s"',
    (name) => {
      expect(isLoginName(name)).toBe(false)
    },
  )
})
