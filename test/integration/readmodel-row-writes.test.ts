import fc from 'fast-check'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { buildSchema } from '../../src/readmodel/projection-build.ts'
import { projection } from '../../src/readmodel/projection.ts'
import { ReadModels } from '../../src/readmodel/read-models.ts'
import { remove, table, upsert } from '../../src/readmodel/table.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 90_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

interface ThingRow {
  readonly kind: string
  readonly id: number
  readonly text: string | null
  readonly count: bigint
  readonly ratio: number | null
  readonly on: boolean
  readonly bytes: Uint8Array
  readonly more: readonly string[] | null
}

/** One change as an event tells it; `value` null: the row is gone. */
interface Told {
  readonly kind: string
  readonly id: number
  readonly value: number | null
}

const thingsTable = table<ThingRow>()('things', ['kind', 'id'])
const thingsSql = `create table things (kind text not null, id integer not null, text text, count bigint not null,
  ratio double precision, "on" boolean not null, bytes bytea not null, more jsonb, like temporal_row including comments)`

/** A row that a number stands for; every fourth one is too big for its place in the table. */
function rowOf({ kind, id, value }: Told): ThingRow {
  const number = value ?? 0
  const isBig = number % 4 === 3
  return {
    kind,
    id,
    text: number % 3 === 0 ? null : `"${number}"\\, é`,
    count: BigInt(number) << 60n,
    ratio: number % 2 === 0 ? null : number / 3,
    on: number % 2 === 0,
    bytes: isBig ? Uint8Array.from({ length: 9_000 }, (_, at) => (at * at * number) >> 3) : Uint8Array.of(number),
    more: number === 1 ? null : [String(number), '\u2028'],
  }
}

const things = projection<{ readonly type: 'ThingsTold'; readonly told: readonly Told[] }>()({
  name: 'things',
  version: 1,
  live: true,
  tables: { things: thingsTable },
  on: {
    ThingsTold: ({ told }) =>
      told.map((each) => (each.value === null ? remove(thingsTable, each) : upsert(thingsTable, rowOf(each)))),
  },
})

const thingModels = () =>
  new ReadModels({
    projections: [things],
    decode: ({ type, data }: RecordedEvent) => ({ type, ...JSON.parse(Buffer.from(data).toString()) }),
    sqlOf: () => Promise.resolve(thingsSql),
  })

/** A version as the test has it. */
interface Version {
  readonly told: Told
  readonly from: bigint
  to: bigint | null
}

/** The rules in the plainest way: one list of versions, changed event by event. */
function takeIn(
  versions: Version[],
  { told, position }: { readonly told: readonly Told[]; readonly position: bigint },
) {
  for (const each of told) {
    const at = versions.findIndex(({ told: { kind, id }, to }) => kind === each.kind && id === each.id && to === null)
    const before = versions[at]
    if ((before?.told.value ?? null) === each.value) continue
    if (before?.from === position) versions.splice(at, 1)
    else if (before !== undefined) before.to = position
    if (each.value !== null) versions.push({ told: each, from: position, to: null })
  }
}

const run = (address: PostgresAddress, text: string) =>
  server.run(address.database ?? '', text).then(({ rows }) => rows)

const shown = ({ kind, id, text, count, ratio, on, bytes, more }: ThingRow, from: bigint, to: bigint | null) =>
  JSON.stringify([
    kind,
    id,
    text,
    String(count),
    ratio,
    on,
    Buffer.from(bytes).toString('hex'),
    more,
    String(from),
    to && String(to),
  ])

async function storedVersions(address: PostgresAddress): Promise<string[]> {
  const rows = await run(
    address,
    `select json_build_array(kind, id, text, count::text, ratio, "on", encode(bytes, 'hex'), more, from_position::text, to_position::text) as version
      from things t where (select recorded_at from log_events where position = t.from_position) = valid_from
        and (select recorded_at from log_events where position = t.to_position) is not distinct from valid_to`,
  )
  return rows.map(({ version }) => JSON.stringify(version)).toSorted()
}

const told = fc.record({ kind: fc.constantFrom('a', 'b'), id: fc.nat(2), value: fc.option(fc.nat(7), { freq: 3 }) })
const commits = fc.array(fc.array(fc.array(told, { maxLength: 3 }), { minLength: 1, maxLength: 5 }), {
  minLength: 1,
  maxLength: 4,
})

test('rowWrites() leave the versions that the plainest rules say, whatever changes how often in one commit', async () => {
  await fc.assert(
    fc.asyncProperty(commits, async (all) => {
      const address = await server.createDatabase()
      const models = thingModels()
      const versions: Version[] = []
      await using log = await openLog(address, { participants: [models] })
      for (const events of all) {
        const { events: recorded } = await log.append([
          write(
            'things-1',
            events.map((each) => newEvent('ThingsTold', { told: each })),
          ),
        ])
        recorded.forEach(({ position }, at) => takeIn(versions, { told: events[at] ?? [], position }))
      }
      const wanted = versions.map(({ told: each, from, to }) => shown(rowOf(each), from, to))
      expect(await storedVersions(address)).toEqual(wanted.toSorted())
      const report = await models.replayCheck()
      expect(report.differences).toEqual([])
      expect(report.identical).toBe(true)
    }),
    { numRuns: 12 },
  )
})

const change = (value: number, kind = 'a') => [
  write('things-1', [newEvent('ThingsTold', { told: [{ kind, id: 1, value }] })]),
]

test('rowWrites() fail where the current version is not the one that memory has', async () => {
  const address = await server.createDatabase()
  await using log = await openLog(address, { participants: [thingModels()] })
  await log.append(change(1))
  await run(address, 'update things set from_position = from_position - 1')
  await expect(log.append(change(2))).rejects.toThrow(
    'The rows changed by "replaced_things" are not those the writer knows',
  )
})

test('a publication of all tables stands in the way of no change', async () => {
  const address = await server.createDatabase()
  await using log = await openLog(address, { participants: [thingModels()] })
  await run(address, 'create publication everything for all tables')
  for (const value of [1, 2]) await log.append(change(value))
  expect(await run(address, 'select 1 from things')).toHaveLength(2)
})

// As versions before the migration made tables.
const olderKeys = (name: string, key: string) => `
  alter table ${name} drop constraint ${key};
  alter table ${name} replica identity default;
  alter table ${name} add primary key (kind, id, from_position)`

test('the migration of keys takes along the tables that were made before it, those that are being built as well', async () => {
  const address = await server.createDatabase()
  const built = buildSchema(things)
  const constraints = () =>
    run(
      address,
      `select connamespace::regnamespace::text as schema, pg_get_constraintdef(oid) as text from pg_constraint
        where conrelid in ('public.things'::regclass, '${built}.things'::regclass) and contype in ('p', 'u') order by 1`,
    )
  {
    await using log = await openLog(address, { participants: [thingModels()] })
    for (const value of [1, 2, 3]) await log.append(change(value))
  }
  await run(address, `create schema ${built}; create table ${built}.things (like public.things including all)`)
  await run(address, olderKeys('public.things', 'things_ends'))
  await run(address, olderKeys(`${built}.things`, 'things_kind_id_to_position_key'))
  await run(address, 'delete from schema_migration where number = 7')
  const models = thingModels()
  await using log = await openLog(address, { participants: [models] })
  const unique = 'UNIQUE (kind, id, to_position)'
  expect(await constraints()).toEqual([
    { schema: built, text: unique },
    { schema: 'public', text: unique },
  ])
  await log.append(change(4))
  await log.append(change(5, 'b'))
  expect(await run(address, 'select 1 from things')).toHaveLength(5)
  expect((await models.replayCheck()).identical).toBe(true)
})
