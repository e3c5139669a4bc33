import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { BackgroundProjection } from '../../src/readmodel/background-projection.ts'
import { buildProjection } from '../../src/readmodel/projection-build.ts'
import { ReadModels } from '../../src/readmodel/read-models.ts'
import { moved, opened, openWith } from '../support/account-events.ts'
import { accountModels, accountsProjection, accountsSql, decodeAccountEvent } from '../support/account-projection.ts'
import { ledgerProjection, ledgerSql } from '../support/ledger-projection.ts'
import { openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import { poolOf } from '../support/pool-of.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

function ledgerModels(): ReadModels {
  return new ReadModels({
    projections: [ledgerProjection()],
    decode: decodeAccountEvent,
    sqlOf: () => Promise.resolve(ledgerSql),
  })
}

test('T20: rows and position of a projection move in one transaction, whenever its connections are cut', async () => {
  const address = await server.createDatabase()
  const database = address.database ?? ''
  const models = ledgerModels()
  await using log = await openLog(address, { participants: [models] })
  models.follow()
  await log.append([write('a', [opened()])])
  const stop = new AbortController()
  const cuts = (async () => {
    while (!stop.signal.aborted) {
      await server.run(
        database,
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = 'chronovisor reader'`,
      )
      // Whatever is written at this very moment, the rows are those of the position beside them.
      const { rows } = await server.run(
        database,
        `select p.position, (select sum(case when from_position > p.position then 1 else 0 end) from ledger) as ahead,
          (select count(*) from event e join stream s using (stream_id) where s.name = 'a' and e.pos <= p.position) as events,
          (select count(*) from ledger) as versions from projection p where name = 'ledger'`,
      )
      expect(rows).toMatchObject([{ ahead: rows[0]?.versions === '0' ? null : '0', versions: rows[0]?.events }])
      await sleep(15)
    }
  })()
  // By sevens the balance never is 666, which the table refuses.
  for (let at = 1; at <= 150; at += 1) await log.append([write('a', [moved(7n)])]).catch(() => undefined)
  stop.abort()
  await cuts
  await models.projection('ledger').background?.reach(log.head.position, { limitMs: 30_000 })
  expect(await models.replayCheck()).toMatchObject({ identical: true })
  await models.close()
})

/** Another process that follows the ledger: a background projection on a pool of its own. */
function otherFollower(log: EventStore, { pool, alarms }: { pool: Pool; alarms: string[] }): BackgroundProjection {
  return new BackgroundProjection({
    projection: ledgerProjection(),
    decode: decodeAccountEvent,
    pool,
    reader: log,
    head: () => log.head.position,
    rebuild: () => Promise.reject(new Error('nothing to rebuild')),
    onQuarantine: ({ stream }) => alarms.push(`quarantined ${stream}`),
    onAlarm: ({ text }) => alarms.push(text),
  })
}

test('T20: who comes too late with events that another process has taken quarantines nothing, and goes on', async () => {
  const address = await server.createDatabase()
  const models = ledgerModels()
  await using log = await openLog(address, { participants: [models] })
  const pool = poolOf(address)
  const alarms: string[] = []
  const late = otherFollower(log, { pool, alarms })
  await late.open()
  await log.append([write('a', [opened(), moved(1n), moved(1n)])])
  models.follow()
  await models.projection('ledger').background?.reach(log.head.position, { limitMs: 30_000 })
  await models.close()

  const stop = new AbortController()
  late.start(stop.signal)
  await late.reach(log.head.position, { limitMs: 30_000 })
  await log.append([write('a', [moved(1n)])])
  late.wake()
  await late.reach(log.head.position, { limitMs: 30_000 })
  stop.abort()
  await late.ended()
  expect(alarms).toEqual([expect.stringContaining('another process follows it too')])
  expect([...late.deadLetters]).toEqual([])
  const { rows } = await pool.query('select balance, from_position from ledger where to_position is null')
  expect(rows).toEqual([{ balance: 3n, from_position: log.head.position }])
  await pool.end()
})

test('T20: of two processes that follow one projection each event is taken once; who is behind loses, cleanly', async () => {
  const address = await server.createDatabase()
  const models = ledgerModels()
  await using log = await openLog(address, { participants: [models] })
  const pool = poolOf(address)
  const alarms: string[] = []
  const other = otherFollower(log, { pool, alarms })
  await other.open()
  const stop = new AbortController()
  models.follow()
  other.start(stop.signal)
  for (let at = 0; at < 40; at += 1) {
    await log.append([write('a', [at === 0 ? opened() : moved(1n)])])
    other.wake()
    await sleep(5)
  }
  await models.projection('ledger').background?.reach(log.head.position, { limitMs: 30_000 })
  stop.abort()
  await other.ended()
  await models.close()
  expect(await models.replayCheck()).toMatchObject({ identical: true, deadLetters: [] })
  expect(alarms.every((text) => text.includes('another process follows it too'))).toBe(true)
  await pool.end()
})

test('T22: a rebuild, a restart and a replay tell no listener and run no reaction again', async () => {
  const address = await server.createDatabase()
  const heard: bigint[] = []
  {
    const models = accountModels()
    await using log = await openWith(address, models)
    log.afterCommit(({ events }) => heard.push(...events.map(({ position }) => position)))
    await log.append([write('a', [opened(), moved(1n)])])
    const pool = poolOf(address)
    const parts = { projection: accountsProjection(), sql: accountsSql, decode: decodeAccountEvent, nowUs: () => 1n }
    await buildProjection({ pool, reader: log, ...parts })
    await pool.end()
    await models.switchTo('accounts')
    expect((await models.replayCheck()).identical).toBe(true)
    expect(heard).toEqual([1n, 2n])
    expect(log.head.position).toBe(2n)
  }
  const next = accountModels({ projections: [accountsProjection({ version: 2, bonus: 5n })] })
  await using log = await openWith(address, next)
  log.afterCommit(({ events }) => heard.push(...events.map(({ position }) => position)))
  expect(next.position).toBe(3n) // the start itself, which is told to nobody
  await log.append([write('a', [moved(1n)])])
  expect(heard).toEqual([1n, 2n, 4n])
})
