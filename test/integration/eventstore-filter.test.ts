import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { type LogFilter, type NameFilter, passesFilter } from '../../src/eventstore/log-filter.ts'
import type { ReadAllOptions } from '../../src/eventstore/log-reader.ts'
import { migrate } from '../../src/eventstore/migrate.ts'
import { openLogReader } from '../../src/eventstore/open-log-reader.ts'
import { readSqlFiles } from '../../src/eventstore/package-files.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

const block = 4_096

let server: ScratchPostgres
let address: PostgresAddress
let log: EventStore
let all: readonly RecordedEvent[]

/** Eight blocks: most of it noise of one category, with seldom types and streams here and there. */
beforeAll(async () => {
  server = await ScratchPostgres.start()
  address = await server.createDatabase()
  log = await openLog(address, { limits: { partitionEvents: 10_000n } })
  for (let batch = 0; batch < 33; batch += 1) {
    const writes = Array.from({ length: 49 }, (_, at) =>
      write(
        `noise-${(batch * 49 + at) % 70}`,
        Array.from({ length: 20 }, () => newEvent('Hummed')),
      ),
    )
    if (batch % 11 === 4) writes.push(write('rare-1', [newEvent('Struck', { batch })]))
    if (batch === 20) writes.push(write("od'd-\\x", [newEvent('Rang'), newEvent('Struck')]))
    if (batch % 9 === 2) writes.push(write(`rare-${batch}`, [newEvent('Hummed')]), write('other', [newEvent('Rang')]))
    await log.append(writes)
  }
  all = await collect(log.readAll())
}, 60_000)

afterAll(async () => {
  await log.close()
  await server[Symbol.asyncDispose]()
})

/** Rows of events that the server has read; what a connection has counted is told at its end. */
async function rowsRead(): Promise<number> {
  const { rows } = await server.run(
    address.database ?? '',
    `select coalesce(sum(idx_tup_fetch + seq_tup_read), 0)::int as count from pg_stat_user_tables where relname like 'event\\__'`,
  )
  return rows[0].count
}

async function costOf(options: ReadAllOptions): Promise<{ readonly found: number; readonly read: number }> {
  const before = await rowsRead()
  const reader = await openLogReader({ address })
  const found = (await collect(reader.readAll(options))).length
  await reader.close()
  await expect.poll(rowsRead).toBeGreaterThanOrEqual(before + found)
  return { found, read: (await rowsRead()) - before }
}

describe('readAll() with a filter', () => {
  const name = fc.constantFrom(
    'noise-',
    'noise-1',
    'noise-69',
    'rare',
    'rare-1',
    'rare-11',
    "od'd-\\x",
    "od'",
    'other',
    'x',
    'Hum',
    'Struck',
    'R',
    '',
  )
  const pattern = fc.constantFrom(
    /^rare-\d+$/,
    /^noise-6/,
    /1$/,
    /^other|rare/,
    /^Rang?$/,
    /^(?!Hummed)/,
    /struck/i,
    /^od'd-\\x$/g,
  )
  const filter: fc.Arbitrary<NameFilter> = fc.oneof(
    fc.record({ prefixes: fc.array(name, { maxLength: 3 }) }),
    fc.record({ pattern }),
  )
  const options = fc.record({
    filter: fc.record({ streams: filter, types: filter }, { requiredKeys: [] }),
    direction: fc.constantFrom('forwards' as const, 'backwards' as const),
    from: fc.option(fc.bigInt({ min: 0n, max: 34_000n }), { nil: undefined }),
    maxCount: fc.constantFrom(1, 7, 5_000, Infinity),
  })

  test('gives what a look at every event gives', async () => {
    await fc.assert(
      fc.asyncProperty(options, async ({ from, ...rest }) => {
        const { direction, maxCount } = rest
        const inRange = all.filter(
          ({ position }) => from === undefined || (direction === 'forwards' ? position >= from : position <= from),
        )
        const wanted = (direction === 'forwards' ? inRange : inRange.toReversed()).filter((event) =>
          passesFilter(rest.filter, event),
        )
        const found = await collect(log.readAll({ ...rest, ...(from === undefined ? {} : { from }) }))
        const positions = found.map(({ position }) => position)
        expect(positions).toEqual(wanted.slice(0, maxCount).map(({ position }) => position))
      }),
      { numRuns: 150 },
    )
  }, 120_000)

  const costs: readonly { readonly filter: LogFilter; readonly found: number; readonly atMost: number }[] = [
    // Struck: three times in rare-1, once in od'd; each in a block of its own.
    { filter: { types: { prefixes: ['Struck'] } }, found: 4, atMost: 4 * block },
    { filter: { types: { pattern: /^Struck$/ } }, found: 4, atMost: 4 * block },
    { filter: { streams: { prefixes: ['rare-1'] }, types: { prefixes: ['Struck'] } }, found: 3, atMost: 200 },
    { filter: { streams: { prefixes: ["od'd-"] } }, found: 2, atMost: 200 },
    { filter: { streams: { pattern: /^od'd/ } }, found: 2, atMost: 3 * block },
    { filter: { types: { prefixes: ['Nothing'] } }, found: 0, atMost: 100 },
    { filter: { streams: { prefixes: ['nothing-'] } }, found: 0, atMost: 100 },
  ]
  test.each(costs)('reads no more than it must for $filter', async ({ filter, found, atMost }) => {
    for (const direction of ['forwards', 'backwards'] as const) {
      const cost = await costOf({ filter, direction })
      expect(cost.found).toBe(found)
      expect(cost.read).toBeLessThanOrEqual(atMost)
    }
  })

  test('knows the blocks of a log that was written before there were any', async () => {
    const old = await server.createDatabase()
    const client = new pg.Client(clientConfig(old, 'test'))
    await client.connect()
    await migrate(client, (await readSqlFiles('migrations')).slice(0, 3))
    await client.query(`
      insert into log values (gen_random_uuid(), gen_random_uuid(), 1, 1, 16777216);
      select log_add_partition(0);
      insert into commit values (0, null, null, 0, -1, 1, 0, sha256('')), (1, 0, -1, 0, 19999, 2, 1, sha256(''));
      insert into category values (0, 'a'), (1, 'b');
      insert into stream values (0, 'a-1', 0, 0), (1, 'b-1', 1, 9000);
      insert into event_type values (0, 'Put', 1), (1, 'Rang', 1);
      insert into event select n, (n = 9000)::int, case when n < 9000 then n when n = 9000 then 0 else n - 1 end, (n % 8000 = 1)::int, 1,
        gen_random_uuid(), '{}', '{}' from generate_series(0, 19999) as n`)
    await migrate(client)
    const { rows } = await client.query('select type_id, block from type_block order by 1, 2')
    await client.end()
    expect(rows).toEqual([
      ...[0n, 1n, 2n, 3n, 4n].map((number) => ({ type_id: 0, block: number })),
      ...[0n, 1n, 3n].map((number) => ({ type_id: 1, block: number })),
    ])
    await using reader = await openLogReader({ address: old })
    const rang = await collect(reader.readAll({ filter: { types: { prefixes: ['Rang'] } } }))
    expect(rang.map(({ position }) => position)).toEqual([1n, 8_001n, 16_001n])
    const other = await collect(reader.readAll({ filter: { streams: { pattern: /^b-/ } }, direction: 'backwards' }))
    expect(other.map(({ position }) => position)).toEqual([9_000n])
  })
})

describe('the skip blocks', () => {
  test('say exactly what each block holds, across restarts and borders', async () => {
    const own = await server.createDatabase()
    for (let start = 0; start < 3; start += 1) {
      await using restarted = await openLog(own)
      for (let at = 0; at < 3; at += 1) {
        const type = at === 1 ? `Of${start}` : 'Put'
        const events = Array.from({ length: 900 }, () => newEvent(type))
        await restarted.append([write(`a-${start}`, events), write(`c${at}-1`, [newEvent('Put')])])
      }
    }
    const { rows } = await server.run(
      own.database ?? '',
      `with wanted as (select distinct type_id as id, pos / 4096 as block, 'type' as kind from event
          union all select distinct category_id, pos / 4096, 'category' from event join stream using (stream_id)),
        found as (select type_id as id, block, 'type' as kind from type_block union all select category_id, block, 'category' from category_block)
      select (select count(*)::int from wanted) as wanted, (select count(*)::int from found) as found,
        (select count(*)::int from wanted join found using (id, block, kind)) as same`,
    )
    expect(rows[0].wanted).toBeGreaterThan(10)
    expect(rows[0]).toEqual({ wanted: rows[0].wanted, found: rows[0].wanted, same: rows[0].wanted })
  })
})
