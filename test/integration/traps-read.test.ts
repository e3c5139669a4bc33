import { setTimeout as sleep } from 'node:timers/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { LogCorruptError } from '../../src/eventstore/append-errors.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { LogFeed } from '../../src/eventstore/log-feed.ts'
import { openLogReader } from '../../src/eventstore/open-log-reader.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { readStatements } from '../../src/eventstore/read-statements.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import { Subscriber } from '../support/subscriber.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

async function put(log: EventStore, stream: string, count: number): Promise<void> {
  const events = Array.from({ length: count }, () => newEvent('Put'))
  await log.append([write(stream, events)])
}

function range(first: bigint, end: bigint): bigint[] {
  return Array.from({ length: Number(end - first) }, (_, at) => first + BigInt(at))
}

async function connect(address: PostgresAddress): Promise<pg.Client> {
  const client = new pg.Client(address)
  client.on('error', () => undefined)
  await client.connect()
  return client
}

describe('T3: a horizon held back by other transactions', () => {
  test('changes nothing about delivery, in the writer’s process and in another', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await using reader = await openLogReader({ address })
    const elsewhere = await connect(await server.createDatabase())
    await elsewhere.query('create table t (x int)')
    await elsewhere.query('begin')
    await elsewhere.query('insert into t values (1)')
    const repeatable = await connect(address)
    await repeatable.query('begin isolation level repeatable read')
    await repeatable.query('select count(*) from event')
    const subscribers = [log, reader].map((each) => new Subscriber(each.subscribe()))
    for (let at = 0; at < 20; at += 1) await put(log, `s-${at}`, 5)
    for (const subscriber of subscribers) {
      await subscriber.until((seen) => seen.events.length === 101)
      expect(subscriber.positions).toEqual(range(0n, 101n))
      await subscriber.end()
    }
    for (const client of [elsewhere, repeatable]) {
      expect((await client.query('select pg_current_xact_id_if_assigned() is not null or true as open')).rowCount).toBe(
        1,
      )
      await client.query('rollback')
      await client.end()
    }
  })
})

describe('T10: from the end', () => {
  test.each([0, 1, 3])('is after %i events, not at the beginning: the log, a stream, a filter', async (count) => {
    await using log = await openLog(await server.createDatabase())
    if (count > 0) await put(log, 's-1', count)
    const filter = { streams: { prefixes: ['s-'] } }
    const subscriptions = [
      log.subscribe({ from: 'end' }),
      log.subscribe({ from: 'end', filter }),
      log.subscribeStream('s-1', { from: 'end' }),
    ]
    const subscribers = subscriptions.map((subscription) => new Subscriber(subscription))
    await Promise.all(subscribers.map(async (each) => await each.until((seen) => seen.caughtUp === 1)))
    await put(log, 's-1', 1)
    for (const subscriber of subscribers) {
      await subscriber.until((seen) => seen.events.length > 0)
      expect(subscriber.positions).toEqual([BigInt(count) + 1n])
      await subscriber.end()
    }
  })
})

describe('T11: notifications that are lost', () => {
  test('nobody listens or notifies; who loses its connections and its feed misses nothing', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    const path = join(server.socketDir, 'feed.sock')
    let feed = await LogFeed.serve({ path, mode: 0o600, log })
    await using reader = await openLogReader({ address, feed: path })
    const subscriber = new Subscriber(reader.subscribe())
    await subscriber.until((seen) => seen.caughtUp === 1)
    for (let round = 0; round < 6; round += 1) {
      await put(log, 's-1', 7)
      if (round % 2 === 0) {
        await feed.close()
        await put(log, 's-1', 7)
        feed = await LogFeed.serve({ path, mode: 0o600, log })
      }
      await server.run(
        address.database ?? '',
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'chronovisor log reader'`,
      )
    }
    await subscriber.until((seen) => seen.events.length === 64)
    expect(subscriber.positions).toEqual(range(0n, 64n))
    await subscriber.end()
    await feed.close()
    const { rows } = await server.run('postgres', 'select pg_notification_queue_usage() as usage')
    expect(rows).toEqual([{ usage: 0 }])
  })

  test('a feed that lies, or is none, cannot make a reader lose or repeat anything', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    const path = join(server.socketDir, 'liar.sock')
    const liar = { head: { ...log.head, position: 1n << 60n }, afterCommit: () => () => undefined }
    await using feed = await LogFeed.serve({ path, mode: 0o600, log: liar })
    const postgres = join(server.socketDir, '.s.PGSQL.5432')
    await using misled = await openLogReader({ address, feed: path })
    await using mistaken = await openLogReader({ address, feed: postgres })
    await using without = await openLogReader({ address, feed: join(server.socketDir, 'absent.sock') })
    const subscribers = [misled, mistaken, without].map((each) => new Subscriber(each.subscribe()))
    await Promise.all(subscribers.map(async (each) => await each.until((seen) => seen.caughtUp === 1)))
    expect(feed.readers).toBe(1)
    await put(log, 's-1', 9)
    for (const subscriber of subscribers) {
      await subscriber.until((seen) => seen.events.length === 10)
      expect(subscriber.positions).toEqual(range(0n, 10n))
      await subscriber.end()
    }
  })
})

describe('T19: the hand-over from catching up to live', () => {
  test('jumps over nothing while 16 writers append and the ring is tiny, in both processes', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address, { limits: { ringEvents: 20 } })
    await using reader = await openLogReader({ address })
    const stop = new AbortController()
    const writers = Array.from({ length: 16 }, async (_, at) => {
      while (!stop.signal.aborted) {
        await put(log, `s-${at}`, 1 + (at % 3))
        await sleep(at % 4)
      }
    })
    const subscribers: { readonly from: bigint; readonly subscriber: Subscriber }[] = []
    for (let at = 0; at < 12; at += 1) {
      await sleep(40)
      const from = at % 3 === 0 ? 0n : log.head.position - BigInt(at)
      const subscriber = new Subscriber((at % 2 === 0 ? log : reader).subscribe({ from }))
      subscribers.push({ from: from < 0n ? 0n : from, subscriber })
    }
    stop.abort()
    await Promise.all(writers)
    const end = log.head.position + 1n
    for (const { from, subscriber } of subscribers) {
      await subscriber.until((seen) => seen.positions.at(-1) === end - 1n)
      expect(subscriber.positions).toEqual(range(from, end))
      await subscriber.end()
    }
  })
})

describe('T27: a poll without a matching index', () => {
  const span = { first: 9_000n, last: 10_000n }
  const both = [{ direction: 'forwards' as const }, { direction: 'backwards' as const }]
  const statements: Record<keyof typeof readStatements, readonly string[]> = {
    positions: both.flatMap((order) => [
      readStatements.positions({ ...span, ...order }),
      readStatements.positions({ ...span, ...order, filter: { types: [1, 2] } }),
      readStatements.positions({ ...span, ...order, filter: { types: [3], prefixes: ['s-1', 'x'] } }),
    ]),
    revisions: both.map((order) => readStatements.revisions({ first: 2n, last: 900n, streamId: 7, ...order })),
    revisionSpans: [readStatements.revisionSpans({ ids: [3, 4], ...span })],
    commitRange: [readStatements.commitRange({ first: 5, last: 40 })],
    commits: [readStatements.commits([5, 40, 600])],
    streamNames: [readStatements.streamNames([1, 2, 3, 900])],
    typesAfter: [readStatements.typesAfter(250)],
    head: [readStatements.head()],
    streamHead: [readStatements.streamHead('s-17')],
    streamsOfPrefix: [readStatements.streamsOfPrefix({ prefix: 's-19', limit: 17 })],
    categories: [readStatements.categories({ exactly: 's' }), readStatements.categories({ prefix: 'c1' })],
    typeBlocks: [readStatements.typeBlocks({ ids: [1, 2], first: 1_000n, last: 1_010n })],
    categoryBlocks: [readStatements.categoryBlocks({ ids: [1, 2], first: 1_000n, last: 1_010n })],
  }

  /** Enough rows, with statistics, that no table but those of names is cheaper to read whole. */
  async function fill(address: PostgresAddress): Promise<void> {
    await using log = await openLog(address, { limits: { partitionEvents: 8_192n } })
    for (let batch = 0; batch < 20; batch += 1) {
      const writes = Array.from({ length: 1_000 }, (_, at) =>
        write(at % 5 === 0 ? `c${at}-1` : `s-${at * 2}`, [newEvent(at % 300 === batch ? `Type${at}` : 'Put')]),
      )
      await log.append(writes)
    }
    const kinds = Array.from({ length: 600 }, (_, at) => newEvent(`Kind${at % 300}`))
    await log.append([write('s-1', kinds)])
    await server.run(
      address.database ?? '',
      `insert into commit select c.commit_no + n, c.commit_no + n - 1, c.last_pos + n - 1, c.last_pos + n, c.last_pos + n, c.at_us + n, 1, root
          from (select * from commit order by commit_no desc limit 1) c, generate_series(1, 2000) n;
        insert into category select 1000 + n, 'k' || n from generate_series(1, 2000) n;
        insert into type_block select type_id, b from event_type, generate_series(1000, 1020) b;
        insert into category_block select category_id, b from category, generate_series(1000, 1020) b; analyze`,
    )
  }

  test('every statement of the readers is answered by a key', async () => {
    const address = await server.createDatabase()
    await fill(address)
    const client = await connect(address)
    const { rows: full } = await client.query('select relname from pg_class where reltuples > 0')
    const filled = new Set(full.map(({ relname }) => relname))
    for (const [name, texts] of Object.entries(statements)) {
      for (const text of texts) {
        const { rows } = await client.query(`explain (format json, costs off) ${text}`)
        const nodes = nodesOf(rows[0]['QUERY PLAN'][0].Plan)
        const scans = nodes.filter((node) => node['Node Type'] === 'Seq Scan' && filled.has(node['Relation Name']))
        const types = nodes.map((node) => node['Node Type'])
        expect(scans, `${name}: ${text}`).toEqual([])
        expect(types.join(), `${name}: ${text}`).toMatch(/Index|Function Scan/)
        expect(types.join(), `${name}: ${text}`).not.toMatch(/Hash Join|Merge Join/)
      }
    }
    await client.end()
  })
})

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly Plans?: readonly PlanNode[]
}

function nodesOf(node: PlanNode): readonly PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)]
}

describe('a position that is missing', () => {
  test('is named by every reader, wherever it is', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address, { limits: { partitionEvents: 100n } })
    for (let at = 0; at < 5; at += 1) await put(log, 's-1', 60)
    await put(log, 's-2', 1)
    await using reader = await openLogReader({ address })
    const client = await connect(address)
    for (const position of [1n, 99n, 100n, 299n, 301n]) {
      await client.query('begin')
      await client.query('alter table event disable trigger user')
      await client.query(
        `create table if not exists gone as select * from event with no data; alter table event_${position / 100n} disable trigger user`,
      )
      await client.query(
        'with d as (delete from event where pos = $1::int8 returning *) insert into gone select * from d',
        [String(position)],
      )
      await client.query('commit')
      for (const direction of ['forwards', 'backwards'] as const) {
        await expect(collect(reader.readAll({ direction }))).rejects.toThrow(`position ${position} is missing`)
        // The end of a stream is that of its events: only inside can one be missing.
        if (position < 300n)
          await expect(collect(reader.readStream('s-1', { direction }))).rejects.toThrow(LogCorruptError)
      }
      await expect(collectAll(reader)).rejects.toThrow(`position ${position} is missing`)
      await client.query('insert into event select * from gone; truncate gone')
    }
    await client.end()
  })
})

async function collectAll(reader: Awaited<ReturnType<typeof openLogReader>>): Promise<void> {
  for await (const delivery of reader.subscribe()) if (delivery.kind === 'caught-up') return
}
