import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { LogAlarm } from '../../src/eventstore/event-store-options.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

const limits = { partitionEvents: 50n }

async function put(log: EventStore, count: number): Promise<void> {
  for (let at = 0; at < count; at += 7) {
    const size = Math.min(7, count - at)
    await log.append([
      write(
        `s-${at % 3}`,
        Array.from({ length: size }, () => newEvent('Put')),
      ),
    ])
  }
}

async function partitionCount(address: pg.ClientConfig): Promise<number> {
  const { rows } = await server.run(
    address.database ?? '',
    `select count(*)::int as count from pg_inherits where inhparent = 'event'::regclass`,
  )
  return rows[0].count
}

describe('partitions', () => {
  test('are rolled over beside an open REPEATABLE READ reader, which sees what it saw, while others read both ways', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address, { limits })
    await put(log, 30)
    const reader = new pg.Client(address)
    await reader.connect()
    await reader.query('begin isolation level repeatable read')
    const before = await reader.query('select count(*)::int as count from event')
    await put(log, 600)
    expect(await partitionCount(address)).toBeGreaterThanOrEqual(13)
    expect((await reader.query('select count(*)::int as count from event')).rows).toEqual(before.rows)
    await reader.query('commit')
    await reader.end()
    const last = log.head.position
    const forwards = (await collect(log.readAll())).map(({ position }) => position)
    const backwards = (await collect(log.readAll({ direction: 'backwards' }))).map(({ position }) => position)
    expect(forwards).toEqual(Array.from({ length: Number(last) + 1 }, (_, at) => BigInt(at)))
    expect(backwards).toEqual(forwards.toReversed())
    const stream = (await collect(log.readStream('s-1'))).map(({ revision }) => revision)
    expect(stream).toEqual(stream.map((_, at) => BigInt(at)))
    const part = await collect(log.readAll({ from: 99n, maxCount: 3 }))
    expect(part.map(({ position }) => position)).toEqual([99n, 100n, 101n])
  })

  test('wait for a lock in small bits, without keeping appends waiting that do not need them', async () => {
    const address = await server.createDatabase()
    const alarms: LogAlarm[] = []
    await using log = await openLog(address, { limits, onAlarm: (alarm) => alarms.push(alarm) })
    await put(log, 20)
    const other = new pg.Client(address)
    await other.connect()
    await other.query('begin')
    await other.query('lock table event in share update exclusive mode') // as ANALYZE has it
    await put(log, 49) // up to the border of what is made ahead
    const crossing = put(log, 200)
    const waited = await Promise.race([crossing.then(() => 'over'), new Promise((resolve) => setTimeout(resolve, 700))])
    expect(waited).toBeUndefined()
    await other.query('commit')
    await other.end()
    await crossing
    expect(await collect(log.readAll())).toHaveLength(270)
    expect(alarms).toEqual([])
  })
})
