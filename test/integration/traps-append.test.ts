import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { WrongExpectedRevisionError } from '../../src/eventstore/append-errors.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { ClockJump } from '../../src/eventstore/event-store-options.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'
import type { ExpectedRevision, StreamWrite } from '../../src/eventstore/recorded-event.ts'
import { uuidV7 } from '../../src/util/uuid-v7.ts'
import { moved, opened } from '../support/account-events.ts'
import { accountModels } from '../support/account-projection.ts'
import { type Cut, CutProxy } from '../support/cut-proxy.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { projectFiles, readProjectFile } from '../support/project-files.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

const put = (stream: string, count = 1): StreamWrite[] => [
  write(
    stream,
    Array.from({ length: count }, () => newEvent('Put')),
  ),
]

async function connect(address: PostgresAddress): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(address, 'trap'))
  await client.connect()
  return client
}

/** Positions of a log, which must be dense. */
async function densePositions(log: EventStore): Promise<number> {
  const positions = (await collect(log.readAll())).map(({ position }) => position)
  expect(positions).toEqual(positions.map((_, at) => BigInt(at)))
  return positions.length
}

describe('T1: a position taken before the commit', () => {
  test('is never seen: a reader sees whole commits only, without a hole, while one is under way', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    const holder = await connect(address)
    await log.append(put('a', 3))
    await holder.query('begin; lock table event in share mode')
    const held = log.append(put('a', 5))
    const waiting = log.append(put('b', 2))
    await sleep(50)
    expect(await densePositions(log)).toBe(4)
    expect(log.head.position).toBe(3n)
    await holder.query('rollback')
    await Promise.all([held, waiting])
    expect(await densePositions(log)).toBe(11)
    await holder.end()
  })
})

describe('T2: transaction ids', () => {
  test('stand nowhere in the log or its order', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    const { rows } = await server.run(
      address.database ?? '',
      `select table_name, column_name from information_schema.columns
        where table_schema = 'public' and udt_name ~ '(xid|txid|snapshot)'`,
    )
    expect(rows).toEqual([])
    for (let at = 0; at < 5; at += 1) {
      await server.run(address.database ?? '', 'begin; select pg_current_xact_id(); rollback')
      await log.append(put('a'))
    }
    expect(await densePositions(log)).toBe(6)
    const sources = projectFiles().filter((file) =>
      /^(migrations\/.*\.sql|src\/(eventstore|readmodel)\/.*\.ts)$/.test(file),
    )
    expect(sources.filter((file) => /\b(txid_|pg_current_xact|pg_snapshot|xmin)/.test(readProjectFile(file)))).toEqual(
      [],
    )
  })
})

describe('T5: a gap', () => {
  test('is not left by what is refused, withdrawn, rolled back or poisoned', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address, { participants: [accountModels()] })
    await log.append([write('account-a', [opened()])])
    await server.run(
      address.database ?? '',
      `create function full_disk() returns trigger language plpgsql as $$ begin
        if new.pos % 5 = 0 then raise exception 'no space' using errcode = '53100'; end if; return new; end $$;
       create trigger full_disk before insert on event_0 for each row execute function full_disk()`,
    )
    const controller = new AbortController()
    const attempts = Array.from({ length: 40 }, (_, at) => {
      if (at % 4 === 0) return log.append(put('a'), { signal: controller.signal })
      if (at % 4 === 1) return log.append([write('a', [newEvent('Put')], { expectedRevision: 99n })])
      if (at % 4 === 2) return log.append([write('account-a', [moved(666n)])]) // the table refuses it
      return log.append(put('b'))
    })
    controller.abort()
    await Promise.allSettled(attempts)
    await server.run(address.database ?? '', 'drop trigger full_disk on event_0')
    await log.append(put('c'))
    expect(await densePositions(log)).toBeGreaterThan(2)
  })
})

describe('T8: any revision', () => {
  test('32 writers to one stream with any: 0 failures', async () => {
    await using log = await openLog(await server.createDatabase())
    const writers = Array.from({ length: 32 }, async () => {
      for (let at = 0; at < 20; at += 1) await log.append(put('hot'))
    })
    const failed = (await Promise.allSettled(writers)).filter(({ status }) => status === 'rejected')
    expect(failed).toEqual([])
    const revisions = (await collect(log.readStream('hot'))).map(({ revision }) => revision)
    expect(revisions).toEqual(Array.from({ length: 32 * 20 }, (_, at) => BigInt(at)))
  })
})

describe('T9: every expected revision', () => {
  const states = [0, 1, 3] as const
  const expectations: readonly ExpectedRevision[] = [
    'any',
    'no_stream',
    'stream_exists',
    0n,
    1n,
    2n,
    3n,
    (1n << 62n) - 1n,
  ]
  const fits = (expected: ExpectedRevision, length: number): boolean => {
    if (expected === 'any') return true
    if (expected === 'no_stream') return length === 0
    if (expected === 'stream_exists') return length > 0
    return expected === BigInt(length - 1)
  }
  const cases = expectations.flatMap((expected) => states.map((length) => ({ expected, length })))

  test('is checked against every state: in memory, on disk only, in the same batch, and of a stream that is not written', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address, { limits: { cachedStreams: 1 } })
    for (const [at, { expected, length }] of cases.entries()) {
      const where = `${expected} at length ${length}`
      const prepare = (stream: string) => (length === 0 ? Promise.resolve() : log.append(put(stream, length)))
      await prepare(`cold-${at}`)
      await prepare(`guarded-${at}`)
      for (let other = 0; other < 3; other += 1) await log.append(put(`other-${other}`)) // pushes them out of memory
      await prepare(`warm-${at}`)
      const checked = (stream: string) => log.append([write(stream, [newEvent('Put')], { expectedRevision: expected })])
      const guarded = [write(`guarded-${at}`, [], { expectedRevision: expected }), ...put(`beside-${at}`)]
      const outcomes = await Promise.allSettled([
        checked(`cold-${at}`),
        checked(`warm-${at}`),
        prepare(`batch-${at}`).then(() => undefined),
        checked(`batch-${at}`),
        log.append(guarded),
      ])
      const wanted = fits(expected, length) ? 'fulfilled' : 'rejected'
      expect(
        outcomes.map(({ status }) => status),
        where,
      ).toEqual([wanted, wanted, 'fulfilled', wanted, wanted])
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason, where).toBeInstanceOf(WrongExpectedRevisionError)
      }
      expect(await collect(log.readStream(`batch-${at}`)), where).toHaveLength(
        length + (wanted === 'fulfilled' ? 1 : 0),
      )
      expect(await collect(log.readStream(`beside-${at}`)), where).toHaveLength(wanted === 'fulfilled' ? 1 : 0)
    }
  })
})

describe('T12: dead rows', () => {
  test('are not left by appends beside an open REPEATABLE READ reader', async () => {
    const address = await server.createDatabase()
    const reader = await connect(address)
    {
      await using log = await openLog(address, { participants: [accountModels()] })
      await reader.query('begin isolation level repeatable read')
      await reader.query('select count(*) from event')
      await log.append([write('account-a', [opened()])])
      for (let at = 0; at < 200; at += 1) {
        const requestId = uuidV7()
        await log.append([write('account-a', [moved(1n)]), ...put(`s-${at % 7}`)], { requestId })
      }
    }
    await reader.query('rollback') // what its snapshot does not see, the statistics of it would not tell either
    // Every process of the server tells what it did when it ends, which the log does not wait for.
    const others = `select 1 from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`
    await expect.poll(async () => (await reader.query(others)).rows, { timeout: 10_000 }).toEqual([])
    const { rows } = await reader.query<{ relname: string; changed: bigint; dead: bigint }>(
      `select relname, n_tup_upd + n_tup_del as changed, n_dead_tup as dead from pg_stat_user_tables
        where n_tup_ins > 0 and relname !~ '^(accounts|schema_migration)$'`,
    )
    expect(rows.map(({ relname }) => relname)).toEqual(
      expect.arrayContaining(['commit', 'event_0', 'stream', 'request', 'projection']),
    )
    // Who holds the log, and which read models are live, is written at each start.
    const atStart = ['writer', 'projection']
    expect(rows.filter(({ relname, changed, dead }) => !atStart.includes(relname) && changed + dead > 0n)).toEqual([])
    expect(rows.filter(({ relname, changed }) => atStart.includes(relname) && changed > 5n)).toEqual([])
    await reader.end()
  })
})

describe('T15: a unique key that holds within a partition only', () => {
  test('lets no revision be given twice over partitions: the writer knows the last one wherever it lies', async () => {
    const address = await server.createDatabase()
    const limits = { partitionEvents: 16n, cachedStreams: 1 }
    const first = [newEvent('Put'), newEvent('Put')] as const
    {
      await using log = await openLog(address, { limits })
      await log.append([write('old', first)])
      for (let at = 0; at < 10; at += 1) await log.append(put(`filler-${at}`, 12))
    }
    await using log = await openLog(address, { limits })
    const again = log.append([write('old', [newEvent('Put')], { expectedRevision: 0n })])
    await expect(again).rejects.toThrow('its last revision is 1, expected was revision 0')
    expect((await log.append([write('old', first, { expectedRevision: 'no_stream' })])).lastPosition).toBe(2n)
    const [next] = (await log.append(put('old'))).events
    expect(next).toMatchObject({ revision: 2n, position: 124n })
    for (let at = 0; at < 3; at += 1) await log.append(put(`filler-${at}`, 12))
    await log.append([write('old', [newEvent('Put')], { expectedRevision: 2n })])
    const { rows } = await server.run(
      address.database ?? '',
      'select stream_id, revision from event group by 1, 2 having count(*) > 1',
    )
    expect(rows).toEqual([])
    expect((await collect(log.readStream('old'))).map(({ revision }) => revision)).toEqual([0n, 1n, 2n, 3n])
  })
})

describe('T16: an index over random ids', () => {
  test('does not exist: an append touches the end of each index, and the stream’s own place', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await log.append(put('a'))
    const { rows } = await server.run(
      address.database ?? '',
      `select c.relname as table, string_agg(a.attname, ', ' order by k.at) as columns
        from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace,
          unnest(i.indkey) with ordinality as k (number, at) join pg_attribute a on a.attnum = k.number
        where a.attrelid = i.indrelid and n.nspname = 'public' and c.relname ~ '^event_[0-9]+$'
        group by i.indexrelid, c.relname order by 1, 2`,
    )
    expect(rows).toEqual([
      { table: 'event_0', columns: 'pos' },
      { table: 'event_0', columns: 'stream_id, revision' },
      { table: 'event_1', columns: 'pos' },
      { table: 'event_1', columns: 'stream_id, revision' },
    ])
  })
})

describe('T23: the time of a commit', () => {
  test('is the writer’s, in increasing order, whatever the clock does; that it jumps is told', async () => {
    let [wallMs, monotonicMs] = [1_764_000_000_000, 5_000]
    const pass = (ms: number) => {
      wallMs += ms
      monotonicMs += ms
    }
    const jumps: ClockJump[] = []
    await using log = await openLog(await server.createDatabase(), {
      nowUs: () => BigInt(wallMs) * 1_000n,
      monotonicMs: () => monotonicMs,
      onClockJump: (jump) => jumps.push(jump),
    })
    const step = async (change: () => void) => {
      change()
      await log.append(put('a'))
    }
    await step(() => pass(10))
    await step(() => pass(3_600_000)) // nobody appended for an hour: no jump
    await step(() => (wallMs += 1_999)) // within the tolerance
    expect(jumps).toEqual([])
    const before = BigInt(wallMs) * 1_000n
    await step(() => (wallMs -= 3_600_000))
    await step(() => pass(10))
    await step(() => (wallMs += 7_200_000))
    expect(jumps).toEqual([
      { oldUs: before, newUs: before - 3_600_000_000n, differenceUs: -3_600_000_000n },
      { oldUs: before - 3_599_990_000n, newUs: before + 3_600_010_000n, differenceUs: 7_200_000_000n },
    ])
    const stamps = (await collect(log.readStream('a'))).map(({ recordedAtUs }) => recordedAtUs)
    expect(stamps).toEqual([...new Set(stamps)].toSorted((a, b) => (a < b ? -1 : 1)))
    expect(stamps.slice(2, 5)).toEqual([before, before + 1n, before + 2n])
    expect(stamps.at(-1)).toBe(before + 3_600_010_000n)
  })
})

describe('T26: a connection that dies during COMMIT', () => {
  test('loses and doubles nothing, wherever in the dialogue it is cut', async () => {
    const direct = await server.createDatabase()
    await using proxy = await CutProxy.start(`${server.socketDir}/.s.PGSQL.5432`)
    const address = { ...direct, host: '127.0.0.1', port: proxy.port }
    await using log = await openLog(address)
    const sent: string[] = []
    const append = async () => {
      const event = newEvent('Put', { at: sent.length })
      sent.push(event.eventId)
      expect((await log.append([write('a', [event])])).events).toHaveLength(1)
    }
    await append()
    await append()
    proxy.count()
    await append()
    const bytes = proxy.count()
    const cuts = (direction: Cut['direction'], every: number): readonly Cut[] =>
      Array.from({ length: Math.ceil(bytes[direction] / every) }, (_, at) => ({ direction, afterBytes: at * every }))
    // Each byte of the answer; of the question, whose values are longer, each third.
    const all = [...cuts('toClient', 1), ...cuts('toServer', 3)]
    for (const cut of all) {
      proxy.arm(cut)
      await append()
    }
    expect(proxy.cutsMade).toBe(all.length)
    expect((await collect(log.readStream('a'))).map(({ eventId }) => eventId)).toEqual(sent)
    await log.close()
    await (await openLog(direct)).close() // the tree is right
  })
})
