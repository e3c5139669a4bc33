import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { LogReads } from '../../src/eventstore/log-reads.ts'
import { type BuildParts, buildProjection } from '../../src/readmodel/projection-build.ts'
import { ownSchema } from '../../src/readmodel/scratch-schema.ts'
import { all, closed, moved, note, opened, openWith, textOf } from '../support/account-events.ts'
import {
  accountModels,
  accountsProjection,
  accountsSql,
  accountsTable,
  decodeAccountEvent,
} from '../support/account-projection.ts'
import { newEvent, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

/** Builds the accounts as another process would: with connections of its own. */
async function build(address: PostgresAddress, parts: Partial<BuildParts> = {}) {
  const pool = new pg.Pool({ ...clientConfig(address, 'chronovisor rebuild'), max: 4 })
  try {
    return await buildProjection({
      ...{ pool, reader: new LogReads(pool), projection: accountsProjection(), sql: accountsSql },
      ...{ decode: decodeAccountEvent, nowUs: () => BigInt(Date.now()) * 1000n },
      ...parts,
    })
  } finally {
    await pool.end()
  }
}

async function schemas(address: PostgresAddress): Promise<unknown[]> {
  const text = `select nspname from pg_namespace where nspname ~ '^(build|replay|retired)_'`
  return (await server.run(address.database ?? '', text)).rows.map((row: { nspname: string }) => row.nspname)
}

function tableRows(address: PostgresAddress, schema: string, table: string): Promise<unknown[]> {
  const text = `select * from ${schema}.${table} order by from_position, 1, 2`
  return server.run(address.database ?? '', text).then(({ rows }) => rows)
}

describe('buildProjection()', () => {
  test('makes the very rows that live commits make, quarantined streams and all', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    await using log = await openWith(address, models)
    await log.append([
      write('a', [opened('ann\t\\N\n"ü', { deep: [1, null, '\\'] }), moved(5n), note(1, 'x\\y'), moved(1n)]),
    ])
    await log.append([write('b', [opened(null), closed()]), write('a', [newEvent('AccountReplaced')])])
    await log.append([write('ghost', [moved(1n)])], { kind: 'fact' })
    await log.append([write('c', [opened(), moved(665n)])])
    await log.append([write('c', [moved(1n)])], { kind: 'fact' }) // the database refuses it
    await log.append([write('c', [moved(1n)]), write('a', [moved((1n << 62n) + 1n)])])
    const ready = await build(address)
    expect(ready).toMatchObject({ position: log.head.position, letters: 2 })
    for (const table of ['accounts', 'notes']) {
      expect(await tableRows(address, 'build_accounts', table)).toEqual(await tableRows(address, 'public', table))
    }
    const letters = (schema: string) =>
      server.run(address.database ?? '', `select stream, position, attempts from ${schema}.dead_letter order by 1`)
    expect((await letters('build_accounts')).rows).toEqual((await letters('public')).rows)
  })

  test('finds the event that the database refuses where nothing is known of it yet', async () => {
    const address = await server.createDatabase()
    const models = accountModels({
      sqlOf: () => Promise.resolve(accountsSql.replace('check (balance <> 666)', 'check (true)')),
    })
    await using log = await openWith(address, models)
    await log.append([write('a', [opened(), moved(666n), moved(1n)]), write('b', [opened(), moved(2n)])])
    const ready = await build(address, { projection: accountsProjection({ version: 2 }) })
    expect(ready.letters).toBe(1)
    expect(await tableRows(address, 'build_accounts', 'accounts')).toMatchObject([
      { id: 'a', balance: '0', to_position: null },
      { id: 'b', balance: '0' },
      { id: 'b', balance: '2' },
    ])
  })

  test('goes on by way of the database where the rows are too many for memory', async () => {
    const address = await server.createDatabase()
    await using log = await openWith(address)
    for (let at = 0; at < 5; at += 1) {
      const writes = Array.from({ length: 300 }, (_, n) =>
        write(`a-${(at * 7 + n) % 400}`, [opened(`${at}`), moved(1n)]),
      )
      await log.append(writes)
    }
    // Only what finds rows by key can do without all of them.
    await build(address, { maxRows: 100 })
    expect(await tableRows(address, 'build_accounts', 'accounts')).toEqual(
      await tableRows(address, 'public', 'accounts'),
    )
  })

  test.each([
    { what: 'broken SQL', parts: { sql: 'create tabel' }, message: 'syntax error' },
    {
      what: 'SQL with what a switch cannot move',
      parts: { sql: `${accountsSql} create type mood as enum ('sad')` },
      message: 'type mood',
    },
    { what: 'a cancelled signal', parts: { signal: AbortSignal.abort(new Error('enough')) }, message: 'enough' },
  ])('leaves nothing behind after $what', async ({ parts, message }) => {
    const address = await server.createDatabase()
    await using log = await openWith(address)
    await log.append([write('a', [opened()])])
    const error = await build(address, parts).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(Error)
    expect(`${String(error)} ${error instanceof Error ? String(error.cause) : ''}`).toContain(message)
    expect(await schemas(address)).toEqual([])
    expect((await server.run(address.database ?? '', 'select 1 from projection_build')).rowCount).toBe(0)
  })
})

describe('ReadModels.switchTo()', () => {
  async function withSpoiltRows(address: PostgresAddress) {
    await server.run(address.database ?? '', `update accounts set owner = 'eve' where id = 'a'`)
  }

  test('puts a build in place while appends and queries go on, rows in memory with it', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    await using log = await openWith(address, models)
    await log.append([write('a', [opened(), moved(1n)]), write('b', [opened('bob')])])
    await withSpoiltRows(address)
    expect((await models.replayCheck()).identical).toBe(false)
    const readers = new Readers(address)
    const stop = new AbortController()
    const appends = (async () => {
      for (let at = 0; !stop.signal.aborted; at += 1)
        await log.append([write('a', [moved(1n)]), write(`n-${at}`, [opened()])])
    })()
    await readers.start(3)
    await build(address)
    const switched = await models.switchTo('accounts')
    await sleep(100)
    stop.abort()
    await appends
    expect(await readers.end()).toEqual([])
    expect(switched.droppedViews).toEqual([])
    expect(await models.replayCheck()).toMatchObject({ identical: true })
    expect(models.view.rows(accountsTable).get({ id: 'a' })).toMatchObject({ owner: 'ann' })
    expect(await schemas(address)).toEqual([])
    const rows = textOf(all(models.view))
    await log.close()
    const again = accountModels()
    await using _log = await openWith(address, again)
    expect(textOf(all(again.view))).toBe(rows)
  })

  test('keeps the views and rights that others have made, and refuses where a view would not fit', async () => {
    const address = await server.createDatabase()
    const database = address.database ?? ''
    const models = accountModels()
    await using log = await openWith(address, models)
    await log.append([write('a', [opened()])])
    await server.run(
      database,
      `create role reader_${database}; create schema report; grant usage on schema report to reader_${database};
       create view report.owners with (security_barrier) as select id, owner from accounts where to_position is null;
       create view report.ann as select id from report.owners where owner = 'ann';
       grant select on report.ann to reader_${database}; grant select (id, owner) on accounts to reader_${database}; grant select on notes to public;
       create materialized view report.frozen as select id from accounts`,
    )
    await build(address)
    await expect(models.switchTo('accounts')).rejects.toThrow('materialized view report.frozen does not fit')
    await server.run(database, 'drop materialized view report.frozen')
    await withSpoiltRows(address)
    await models.switchTo('accounts')
    const asReader = await server.run(
      database,
      `set role reader_${database}; select id from report.ann; select owner from accounts; select count(*)::int as n from notes`,
    )
    expect(asReader).toMatchObject([{}, { rows: [{ id: 'a' }] }, { rows: [{ owner: 'ann' }] }, { rows: [{ n: 0 }] }])
    const denied = server.run(database, `set role reader_${database}; select balance from accounts`)
    await expect(denied).rejects.toThrow('permission denied')
    const options = await server.run(database, `select reloptions from pg_class where oid = 'report.owners'::regclass`)
    expect(options.rows).toEqual([{ reloptions: ['security_barrier=true'] }])
    expect((await server.run(database, 'select id from open_accounts')).rows).toEqual([{ id: 'a' }])
  })

  test('waits for a reader with an open cursor, names it when that takes too long, and keeps the build', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    await using log = await openWith(address, models)
    await log.append([write('a', [opened()])])
    await build(address)
    const reader = new pg.Client({ ...address, application_name: 'psql of somebody' })
    await reader.connect()
    await reader.query('begin; declare c cursor for select * from accounts')
    await expect(models.switchTo('accounts', { limitMs: 300 })).rejects.toThrow('psql of somebody')
    await log.append([write('a', [moved(1n)])]) // nobody is held up
    const switching = models.switchTo('accounts')
    expect((await reader.query('fetch all from c')).rowCount).toBe(1)
    await reader.query('commit')
    await switching
    expect((await reader.query('select balance from accounts where to_position is null')).rows).toEqual([
      { balance: '1' },
    ])
    await reader.end()
    expect(await models.replayCheck()).toMatchObject({ identical: true })
  })

  test('refuses without a build, and with one of other code', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    await using log = await openWith(address, models)
    await log.append([write('a', [opened()])])
    await expect(models.switchTo('accounts')).rejects.toThrow('there is no build of it')
    await expect(models.switchTo('acounts')).rejects.toThrow('there are "accounts"')
    await build(address, { projection: accountsProjection({ version: 2 }) })
    await expect(models.switchTo('accounts')).rejects.toThrow('the build is of version 2 of another program')
  })
})

describe('ReadModels.open()', () => {
  test('switches to a build that the next version has prepared, and takes in only what came after it', async () => {
    const address = await server.createDatabase()
    {
      await using log = await openWith(address)
      await log.append([write('a', [opened(), moved(3n)])])
      const projection = accountsProjection({ version: 2, bonus: 100n })
      expect(await build(address, { projection })).toMatchObject({ position: 2n })
      await log.append([write('a', [moved(4n)])])
    }
    const steps: bigint[] = []
    const notes: string[] = []
    const options = { onNote: (text: string) => notes.push(text) }
    {
      // A restart with the old program keeps what the next one has prepared.
      await using _log = await openWith(address, accountModels(options))
      expect(notes).toEqual([expect.stringContaining('Kept the build of projection "accounts", version 2')])
    }
    const models = accountModels({
      ...options,
      projections: [accountsProjection({ version: 2, bonus: 100n })],
      onProgress: ({ position }) => steps.push(position),
    })
    await using _log = await openWith(address, models)
    expect(notes.at(-1)).toContain('Switching to the build of projection "accounts", version 2, up to position 2')
    expect(steps).toEqual([5n])
    expect(models.view.rows(accountsTable).get({ id: 'a' })).toMatchObject({ balance: 107n })
    expect(await models.replayCheck()).toMatchObject({ identical: true })
    expect(await schemas(address)).toEqual([])
  })

  test('discards a build of other code with a word, and builds by its own', async () => {
    const address = await server.createDatabase()
    {
      await using log = await openWith(address)
      await log.append([write('a', [opened(), moved(3n)])])
      await build(address, { projection: accountsProjection({ version: 2 }), sql: `${accountsSql} -- other` })
    }
    const notes: string[] = []
    const models = accountModels({
      projections: [accountsProjection({ version: 2, bonus: 100n })],
      onNote: (text) => notes.push(text),
    })
    await using _log = await openWith(address, models)
    expect(notes).toEqual([expect.stringContaining('Discarded the build of projection "accounts", version 2')])
    expect(models.view.rows(accountsTable).get({ id: 'a' })).toMatchObject({ balance: 103n })
    expect(await schemas(address)).toEqual([])
  })

  test('keeps the views of others over a new version, and drops with a word what does not fit', async () => {
    const address = await server.createDatabase()
    const database = address.database ?? ''
    {
      await using log = await openWith(address)
      await log.append([write('a', [opened(), moved(3n)])])
    }
    await server.run(
      database,
      `create view mine as select id, balance from accounts; create view seals as select seal from accounts`,
    )
    const notes: string[] = []
    const models = accountModels({
      projections: [accountsProjection({ version: 2, bonus: 100n })],
      sqlOf: () => Promise.resolve(accountsSql.replace('seal bytea,', 'seal jsonb,')),
      decode: () => ({ type: 'None' }),
      onNote: (text) => notes.push(text),
    })
    await using _log = await openWith(address, models)
    expect((await server.run(database, 'select * from mine')).rowCount).toBe(0)
    expect(notes).toEqual([
      expect.stringMatching(/view that does not fit the new tables .* create view public\.seals as/s),
    ])
  })

  test('drops a finished build that nobody wanted for a week, and forgets one whose tables are gone', async () => {
    const address = await server.createDatabase()
    const database = address.database ?? ''
    await (await openWith(address)).close()
    const notes: string[] = []
    for (const spoil of ['update projection_build set started_at_us = 1', 'drop schema build_accounts cascade']) {
      await build(address, { projection: accountsProjection({ version: 2 }) })
      await server.run(database, spoil)
      await (await openWith(address, accountModels({ onNote: (text) => notes.push(text) }))).close()
    }
    expect(notes).toEqual([expect.stringContaining('Dropped schema "build_accounts"')])
  })

  test('drops what killed processes left, and leaves alone what living ones work on', async () => {
    const address = await server.createDatabase()
    const database = address.database ?? ''
    await (await openWith(address)).close()
    const pool = new pg.Pool({ ...clientConfig(address, 'chronovisor rebuild'), max: 4 })
    pool.on('error', () => undefined)
    const killed = await ownSchema(pool, { name: 'build_accounts' })
    await using _working = await ownSchema(pool, { name: 'replay_living' })
    await expect(ownSchema(pool, { name: 'replay_living' })).rejects.toThrow('another process does')
    const { rows } = await killed.client.query<{ pid: number }>('select pg_backend_pid() as pid')
    await server.run(database, 'select pg_terminate_backend($1)', [rows[0]?.pid])
    await server.run(database, 'create schema replay_0123456789abcdef; create schema build_mine')
    const notes: string[] = []
    await (await openWith(address, accountModels({ onNote: (text) => notes.push(text) }))).close()
    expect(new Set(notes.map((text) => /"(\w+)"/.exec(text)?.[1]))).toEqual(
      new Set(['build_accounts', 'replay_0123456789abcdef']),
    )
    expect(new Set(await schemas(address))).toEqual(new Set(['build_mine', 'replay_living']))
    await killed[Symbol.asyncDispose]()
    void pool.end()
  })
})

/** Readers of a read model that must never see an error, nor rows of two versions at once. */
class Readers {
  readonly #address: PostgresAddress
  readonly #stop = new AbortController()
  readonly #errors: string[] = []
  #work: Promise<void>[] = []

  constructor(address: PostgresAddress) {
    this.#address = address
  }

  async start(count: number): Promise<void> {
    for (let at = 0; at < count; at += 1) {
      const client = new pg.Client(this.#address)
      await client.connect()
      this.#work.push(this.#read(client))
    }
  }

  async end(): Promise<readonly string[]> {
    this.#stop.abort()
    await Promise.all(this.#work)
    return this.#errors
  }

  async #read(client: pg.Client): Promise<void> {
    const queries = [
      { name: 'all', text: 'select * from accounts where to_position is null' },
      { name: 'view', text: 'select id, owner from open_accounts' },
      { text: `select count(*) from accounts a join notes n on n.account = a.id where a.id = 'a'` },
    ]
    for (let at = 0; !this.#stop.signal.aborted; at += 1) {
      try {
        await client.query(queries[at % queries.length] ?? '')
      } catch (error) {
        this.#errors.push(String(error))
      }
    }
    await client.end()
  }
}
