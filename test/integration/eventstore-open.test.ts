import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { LogCorruptError, SchemaTooNewError, WriterBusyError } from '../../src/eventstore/append-errors.ts'
import { checkAppend } from '../../src/eventstore/append-request.ts'
import { Batch } from '../../src/eventstore/batch.ts'
import { CommitPlan } from '../../src/eventstore/commit-plan.ts'
import { eventLeaf } from '../../src/eventstore/event-leaf.ts'
import { defaultLimits } from '../../src/eventstore/event-store-options.ts'
import { readHead } from '../../src/eventstore/log-genesis.ts'
import { LogNames } from '../../src/eventstore/log-names.ts'
import { LogReads } from '../../src/eventstore/log-reads.ts'
import { migrate } from '../../src/eventstore/migrate.ts'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { sendParts } from '../../src/eventstore/send-statements.ts'
import { readTree } from '../../src/eventstore/read-tree.ts'
import { StateMemos } from '../../src/eventstore/state-memos.ts'
import { appendLeaves, emptyTree, treeRoot } from '../../src/eventstore/tree-edge.ts'
import { collect, newEvent, openLog, testHostId, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

describe('openEventStore()', () => {
  test('refuses a second writer, naming the first', async () => {
    const address = await server.createDatabase()
    const holder = { pid: 4711, startedAtUs: 1_700_000_000_000_000n, host: 'alpha' }
    const first = await openLog(address, { holder })
    const second = await openLog(address, { limits: { lockWaitMs: 50 } }).catch((error: unknown) => error)
    expect(second).toBeInstanceOf(WriterBusyError)
    expect(second).toHaveProperty(
      'message',
      'Cannot open the log: it is held by process 4711 on alpha, started 2023-11-14T22:13:20.000Z',
    )
    await first.append([write('a', [newEvent('Put')])])
    await first.close()
    await (await openLog(address)).close()
  })

  test('begins every epoch with its own event, first of all', async () => {
    const address = await server.createDatabase()
    const seen: unknown[] = []
    for (let start = 0; start < 3; start += 1) {
      await using log = await openLog(address, {
        fence: (info) => {
          seen.push(info)
          return [write('node-test', [newEvent('DaemonStarted', info)])]
        },
      })
      expect(log.head.epoch).toBe(start + 1)
    }
    expect(seen).toEqual([1, 2, 3].map((epoch) => ({ epoch, firstStart: epoch === 1 })))
    await using log = await openLog(address)
    const events = await collect(log.readAll())
    expect(events.map(({ type, epoch }) => [type, epoch])).toEqual(
      [1, 2, 3, 4].map((epoch) => ['DaemonStarted', epoch]),
    )
  })

  test('waits for what a dead writer still has in flight, and has it in the log', async () => {
    const address = await server.createDatabase()
    const dead = await openLog(address)
    const blocker = await connect(address)
    await blocker.query('begin; lock table event in share mode')
    const lost = dead.append([write('a', [newEvent('Put')])]).catch(() => 'lost')
    await untilBlocked(address) // the backend of a killed process goes on with what it was told, and holds the lock as long
    const opening = openLog(address, { limits: { lockWaitMs: 5_000 } })
    setTimeout(() => void blocker.query('commit').then(() => dead.close()), 300)
    await using log = await opening
    expect((await collect(log.readAll())).map(({ type }) => type)).toEqual(['DaemonStarted', 'Put', 'DaemonStarted'])
    expect(await lost).not.toBe('lost')
    await blocker.end()
  })

  test.each([
    { ending: 'commit', types: ['DaemonStarted', 'Late', 'DaemonStarted', 'Put'] },
    { ending: 'rollback', types: ['DaemonStarted', 'DaemonStarted', 'Put'] },
  ])('fences off a writer without lock whose last transaction ends in $ending', async ({ ending, types }) => {
    const address = await server.createDatabase()
    await (await openLog(address)).close()
    const late = await connect(address)
    await late.query('begin')
    await appendLate(address, late)
    const opening = openLog(address)
    await untilBlocked(address)
    await late.query(ending)
    await using log = await opening
    await log.append([write('a', [newEvent('Put')])])
    expect((await collect(log.readAll())).map(({ type }) => type)).toEqual(types)
    await late.end()
    await log.close()
    await (await openLog(address)).close()
  })

  test('refuses the log of another host', async () => {
    const address = await server.createDatabase()
    await (await openLog(address)).close()
    await expect(openLog(address, { hostId: randomUUID() })).rejects.toThrow(`it belongs to host "${testHostId}"`)
  })

  test('refuses a log whose last events do not give its root', async () => {
    const address = await server.createDatabase()
    {
      await using log = await openLog(address)
      await log.append([write('a', [newEvent('Put', { n: 1 })])])
    }
    await server.run(
      address.database ?? '',
      `alter table event_0 disable trigger all; update event_0 set data = convert_to('{"n":2}', 'UTF8') where pos = 1`,
    )
    await expect(openLog(address)).rejects.toThrow(LogCorruptError)
  })

  test('takes the tree up again from any size', async () => {
    const address = await server.createDatabase()
    for (const count of [254, 1, 1, 300, 700]) {
      await using log = await openLog(address)
      await log.append([
        write(
          'a',
          Array.from({ length: count }, () => newEvent('Put')),
        ),
      ])
    }
    await using log = await openLog(address)
    const leaves = (await collect(log.readAll())).map(eventLeaf)
    expect(Buffer.from(log.head.root)).toEqual(treeRoot(appendLeaves(emptyTree, leaves)))
  })

  test('makes partitions ahead, also for a batch that needs several', async () => {
    const address = await server.createDatabase()
    const limits = { partitionEvents: 16n }
    {
      await using log = await openLog(address, { limits })
      const reader = await connect(address)
      await reader.query('begin isolation level repeatable read')
      await reader.query('select count(*) from event')
      await log.append([
        write(
          'a',
          Array.from({ length: 100 }, () => newEvent('Put')),
        ),
      ])
      for (let at = 0; at < 40; at += 1)
        await log.append([write('b', [newEvent('Put')], { expectedRevision: at === 0 ? 'no_stream' : BigInt(at - 1) })])
      await reader.end()
    }
    await using log = await openLog(address, { limits: { partitionEvents: 1n << 20n } })
    await log.append([write('a', [newEvent('Put')], { expectedRevision: 99n })])
    const events = await collect(log.readAll())
    expect(events.map(({ position }) => position)).toEqual(Array.from({ length: 143 }, (_, at) => BigInt(at)))
    const parts = await server.run(
      address.database ?? '',
      `select count(*)::int as n from pg_inherits where inhparent = 'event'::regclass`,
    )
    expect(parts.rows).toEqual([{ n: 10 }])
  })
})

describe('the constraints of the log', () => {
  const commit = (values: string) => `insert into commit values (${values}, 1, 1, sha256(''))`
  test.each([
    { what: 'a second genesis', sql: commit('0, null, null, 0, -1'), code: '23505' },
    { what: 'another genesis', sql: commit('5, null, null, 0, -1'), code: '23514' },
    { what: 'a fork', sql: commit('2, 1, 0, 1, 1'), code: '23505' },
    { what: 'a gap in positions', sql: commit('3, 2, 1, 3, 3'), code: '23514' },
    { what: 'a gap in numbers', sql: commit('4, 2, 1, 2, 2'), code: '23514' },
    { what: 'a dangling predecessor', sql: commit('8, 7, 1, 2, 2'), code: '23503' },
    { what: 'a dangling position', sql: commit('3, 2, 9, 10, 10'), code: '23503' },
    { what: 'a second successor', sql: commit('2, 1, 0, 1, 7'), code: '23505' },
    { what: 'a successor of half a commit', sql: commit('3, 2, null, 0, 9'), code: '23503' },
    { what: 'a predecessor before the genesis', sql: commit('0, -1, -1, 0, -1'), code: '23505' },
    { what: 'a genesis with events', sql: commit('0, null, null, 0, 0'), code: '23514' },
    { what: 'an empty commit', sql: commit('3, 2, 1, 2, 1'), code: '23514' },
    { what: 'a short root', sql: `insert into commit values (3, 2, 1, 2, 2, 1, 1, '\\x00')`, code: '23514' },
    { what: 'an event twice', sql: 'insert into event select * from event where pos = 1', code: '23505' },
    { what: 'a changed commit', sql: 'update commit set at_us = 0 where commit_no = 2', code: '55000' },
    { what: 'a changed event', sql: 'update event set data = meta where pos = 1', code: '55000' },
    { what: 'a deleted event', sql: 'delete from event where pos = 1', code: '55000' },
    { what: 'a change behind the table', sql: 'delete from event_0 where pos = 1', code: '55000' },
    { what: 'an emptied table', sql: 'truncate event', code: '55000' },
    { what: 'a second log', sql: 'insert into log select gen_random_uuid(), host_id, 0, 1, 1 from log', code: '23505' },
  ])('refuse $what', async ({ sql, code }) => {
    const address = await server.createDatabase()
    {
      await using log = await openLog(address)
      await log.append([write('a', [newEvent('Put')])])
    }
    await expect(server.run(address.database ?? '', sql)).rejects.toHaveProperty('code', code)
  })
})

describe('migrate()', () => {
  const one = { name: '0001-one.sql', text: 'create table one (id int)' }
  const two = { name: '0002-two.sql', text: 'create table two (id int)' }

  test('applies each file once, in order, and refuses newer, changed and misnumbered ones', async () => {
    const client = await connect(await server.createDatabase())
    await migrate(client, [one])
    await migrate(client, [one, two])
    await migrate(client, [one, two])
    expect((await client.query('select number, name from schema_migration order by 1')).rows).toEqual([
      { number: 1, name: one.name },
      { number: 2, name: two.name },
    ])
    const newer = migrate(client, [one])
    await expect(newer).rejects.toThrow(SchemaTooNewError)
    await expect(newer).rejects.toThrow('its schema has migration 2 ("0002-two.sql"), this program knows up to 1')
    await expect(migrate(client, [one, { ...two, text: 'x' }])).rejects.toThrow(
      'was applied as "0002-two.sql" with another text',
    )
    await expect(migrate(client, [one, two, { ...two, name: '0004-x.sql' }])).rejects.toThrow('should have number 3')
    await expect(
      migrate(client, [one, two, { name: '0003-x.sql', text: 'create table three (id int); nonsense' }]),
    ).rejects.toThrow('Cannot apply migration "0003-x.sql"')
    expect((await client.query(`select to_regclass('three') as three`)).rows).toEqual([{ three: null }])
    await client.end()
  })
})

async function connect(address: PostgresAddress): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(address, 'test'))
  await client.connect()
  return client
}

async function untilBlocked(address: PostgresAddress): Promise<void> {
  const client = await connect(address)
  while ((await client.query('select 1 from pg_locks where not granted')).rowCount === 0) await sleep(10)
  await client.end()
}

/** Writes what a writer that does not know that it was replaced would write, on a connection of its own. */
async function appendLate(address: PostgresAddress, client: pg.Client): Promise<void> {
  const pool = new pg.Pool(clientConfig(address, 'late'))
  const reads = new LogReads(pool)
  const names = new LogNames(pool, defaultLimits)
  await names.open()
  const before = await readHead(client)
  const tree = await readTree(client, { head: before, reader: reads })
  const memos = new StateMemos(reads, defaultLimits)
  const batch = new Batch(before, { names, memos, recordedAtUs: before.recordedAtUs + 1n, epoch: before.epoch })
  const append = checkAppend([write('late', [newEvent('Late')])], defaultLimits)
  await batch.loadNames([append])
  batch.take(batch.number(append), append)
  await sendParts(client, () => new CommitPlan(batch, { before, tree }).parts(() => []))
  await pool.end()
}
