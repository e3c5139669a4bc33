import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  CommitInDoubtError,
  InvalidAppendError,
  LogUnavailableError,
  RequestMismatchError,
  RequestWindowError,
} from '../../src/eventstore/append-errors.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { defaultLimits } from '../../src/eventstore/event-store-options.ts'
import { RequestPruner } from '../../src/eventstore/request-pruner.ts'
import { uuidV7 } from '../../src/util/uuid-v7.ts'
import pg from 'pg'
import { CutProxy } from '../support/cut-proxy.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

const put = () => [write('a', [newEvent('Put'), newEvent('Put')]), write('b', [newEvent('Put')])]

async function positionsOf(log: EventStore, request: { what: ReturnType<typeof put>; requestId: string }) {
  const { events, commitNo, lastPosition } = await log.append(request.what, { requestId: request.requestId })
  expect(events.at(-1)).toMatchObject({ position: lastPosition, commitNo })
  return events.map(({ position }) => position)
}

describe('append() with a request id', () => {
  test('appends a repeated request once: in the same batch, later, after it was forgotten, and after a restart', async () => {
    const address = await server.createDatabase()
    const request = { what: put(), requestId: uuidV7() }
    const seen: bigint[][] = []
    {
      await using log = await openLog(address, { limits: { cachedRequests: 1 } })
      seen.push(...(await Promise.all([positionsOf(log, request), positionsOf(log, request)])))
      seen.push(await positionsOf(log, request))
      for (let other = 0; other < 3; other += 1) await positionsOf(log, { what: put(), requestId: uuidV7() })
      seen.push(await positionsOf(log, request))
    }
    await using again = await openLog(address)
    seen.push(await positionsOf(again, request))
    expect(seen).toEqual(Array.from({ length: 5 }, () => [1n, 2n, 3n]))
    const ids = (await collect(again.readAll())).map(({ eventId }) => eventId)
    expect(ids).toHaveLength(1 + 4 * 3 + 1)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('answers a repeated decision without deciding again', async () => {
    await using log = await openLog(await server.createDatabase())
    const requestId = uuidV7()
    let decided = 0
    const decide = () => {
      decided += 1
      return [write('a', [newEvent('Put')])]
    }
    const first = await log.append(decide, { requestId })
    expect((await log.append(decide, { requestId })).events).toEqual(first.events)
    expect(decided).toBe(1)
    expect(await collect(log.readStream('a'))).toHaveLength(1)
  })

  test('takes a request whose first try was refused', async () => {
    await using log = await openLog(await server.createDatabase())
    const requestId = uuidV7()
    const guarded = [write('a', [newEvent('Put')], { expectedRevision: 'stream_exists' })]
    await expect(log.append(guarded, { requestId })).rejects.toThrow('it does not exist')
    await log.append([write('a', [newEvent('Put')])])
    expect((await log.append(guarded, { requestId })).events).toHaveLength(1)
  })

  test('refuses an id that stands for other events', async () => {
    await using log = await openLog(await server.createDatabase())
    const what = put()
    const requestId = uuidV7()
    await log.append(what, { requestId })
    const others = [put(), what.slice(0, 1), [...what, write('c', [newEvent('Put')])], what.toReversed()]
    for (const other of others) {
      const refused = log.append(other, { requestId })
      await expect(refused).rejects.toThrow(RequestMismatchError)
      await expect(refused).rejects.toThrow(
        `Cannot append: request "${requestId}" was recorded at position 1 with other events`,
      )
    }
    expect(await collect(log.readAll())).toHaveLength(4)
  })

  test.each([
    '5f0f4c6e-0000-4000-8000-000000000001',
    'not an id',
    uuidV7().toUpperCase(),
    `${uuidV7()}\n`,
    uuidV7().replace(/^(.{19})./, '$1c'),
  ])('refuses %j, which is no UUID of version 7 in lower case', async (requestId) => {
    await using log = await openLog(await server.createDatabase())
    const refused = log.append(put(), { requestId })
    await expect(refused).rejects.toThrow(InvalidAppendError)
    await expect(refused).rejects.toThrow('it must be a UUID of version 7 in lower case')
  })

  test('refuses by name what is too old to be remembered, or too far ahead', async () => {
    const nowMs = 1_764_000_000_000
    const address = await server.createDatabase()
    const limits = { requestWindowMs: 60_000, requestAheadMs: 1_000 }
    await using log = await openLog(address, { nowUs: () => BigInt(nowMs) * 1_000n, limits })
    const at = (differenceMs: number) => log.append(put(), { requestId: uuidV7(nowMs + differenceMs) })
    await at(-60_000)
    await at(1_000)
    await expect(at(-60_001)).rejects.toThrow(RequestWindowError)
    await expect(at(-60_001)).rejects.toThrow(/request "\S+" is 60001 ms old, the oldest may be 60000 ms/)
    await expect(at(1_001)).rejects.toThrow(/request "\S+" lies 1001 ms in the future, the latest may be 1000 ms/)
  })

  test('answers with what was recorded while the first try was in doubt', async () => {
    const direct = await server.createDatabase()
    await using proxy = await CutProxy.start(`${server.socketDir}/.s.PGSQL.5432`)
    const address = { ...direct, host: '127.0.0.1', port: proxy.port }
    await using log = await openLog(address, { limits: { inDoubtWaitMs: 100 } })
    for (const [at, cut] of [
      { direction: 'toClient', afterBytes: 0 } as const,
      { direction: 'toServer', afterBytes: 40 } as const,
    ].entries()) {
      const request = { what: put(), requestId: uuidV7() }
      proxy.arm(cut, { refuseAfter: true })
      await expect(positionsOf(log, request)).rejects.toThrow(CommitInDoubtError)
      await expect(positionsOf(log, request)).rejects.toThrow(LogUnavailableError)
      proxy.allow()
      const positions = await vi.waitFor(() => positionsOf(log, request), { timeout: 20_000 })
      expect(positions.map(Number)).toEqual([1, 2, 3].map((position) => position + 3 * at))
    }
    expect(await collect(log.readAll())).toHaveLength(7)
  })
})

describe('RequestPruner', () => {
  test('deletes what is older than the window, in steps, and nothing else', async () => {
    const address = await server.createDatabase()
    await using _log = await openLog(address)
    const nowMs = 1_764_000_000_000
    const ages = [...Array.from({ length: 2_500 }, (_, at) => 90_000_000 + at), 86_400_000, 0, -1_000]
    const ids = ages.map((ageMs) => uuidV7(nowMs - ageMs))
    const pool = new pg.Pool({ ...address })
    await pool.query('insert into request select id, 0, 0 from unnest($1::uuid[]) as r (id)', [ids])
    const stop = new AbortController()
    const nowUs = () => BigInt(nowMs) * 1_000n
    await new RequestPruner(pool, { limits: defaultLimits, nowUs, signal: stop.signal }).prune()
    const { rows } = await pool.query<{ request_id: string }>('select request_id from request order by 1')
    expect(rows.map(({ request_id }) => request_id)).toEqual(ids.slice(-3))
    stop.abort()
    await pool.end()
  })
})
