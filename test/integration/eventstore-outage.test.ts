import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  CommitInDoubtError,
  FencedError,
  LogBusyError,
  LogUnavailableError,
} from '../../src/eventstore/append-errors.ts'
import type { EventStoreOptions } from '../../src/eventstore/open-event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { all, moved, opened, textOf } from '../support/account-events.ts'
import { accountModels, accountsTable } from '../support/account-projection.ts'
import { type Cut, CutProxy } from '../support/cut-proxy.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

async function proxied(): Promise<{ proxy: CutProxy; address: PostgresAddress; direct: PostgresAddress }> {
  const direct = await server.createDatabase()
  const proxy = await CutProxy.start(`${server.socketDir}/.s.PGSQL.5432`)
  return { proxy, direct, address: { ...direct, host: '127.0.0.1', port: proxy.port } }
}

async function available(log: { append: Awaited<ReturnType<typeof openLog>>['append'] }): Promise<void> {
  for (;;) {
    const back = await log
      .append(() => [])
      .then(
        () => true,
        (error: unknown) => !(error instanceof LogUnavailableError),
      )
    if (back) return
    await sleep(10)
  }
}

describe('a connection that breaks during a commit', () => {
  /** Bytes of one commit's dialogue, seen once; the same append has the same length again. */
  const cuts: readonly { readonly direction: Cut['direction']; readonly share: number }[] = [
    { direction: 'toServer', share: 0 },
    { direction: 'toServer', share: 0.001 },
    { direction: 'toServer', share: 0.3 },
    { direction: 'toServer', share: 0.7 },
    { direction: 'toServer', share: 0.999 },
    { direction: 'toClient', share: 0 },
    { direction: 'toClient', share: 0.02 },
    { direction: 'toClient', share: 0.5 },
    { direction: 'toClient', share: 0.95 },
  ]

  test('leaves every append in the log exactly once, and read models that follow it', async () => {
    const { proxy, address, direct } = await proxied()
    await using _proxy = proxy
    const models = accountModels()
    await using log = await openLog(address, { participants: [models] })
    await log.append([write('account-a', [opened()])])
    for (let warm = 0; warm < 3; warm += 1) await log.append([write('account-a', [moved(1n)])])
    proxy.count()
    await log.append([write('account-a', [moved(1n)])])
    const bytes = proxy.count()
    for (const { direction, share } of cuts) {
      proxy.arm({ direction, afterBytes: Math.floor(bytes[direction] * share) })
      const result = await log.append([write('account-a', [moved(1n)])])
      expect(result.events).toHaveLength(1)
    }
    expect(proxy.cutsMade).toBe(cuts.length)
    const count = 1 + 4 + cuts.length
    const events = await collect(log.readStream('account-a'))
    expect(events.map(({ revision }) => revision)).toEqual(Array.from({ length: count }, (_, at) => BigInt(at)))
    expect(models.view.rows(accountsTable).get({ id: 'account-a' })).toMatchObject({ moves: count - 1 })
    expect(await models.replayCheck()).toMatchObject({ identical: true })
    await log.close()
    await (await openLog(direct)).close() // the tree is right
  })

  test.each([
    { what: 'arrived', cut: { direction: 'toClient', afterBytes: 0 } as const, recorded: 1 },
    { what: 'did not arrive', cut: { direction: 'toServer', afterBytes: 40 } as const, recorded: 0 },
  ])('answers "in doubt" when the log stays away, and settles that it $what', async ({ cut, recorded }) => {
    const { proxy, address } = await proxied()
    await using _proxy = proxy
    const models = accountModels()
    await using log = await openLog(address, { participants: [models], limits: { inDoubtWaitMs: 200 } })
    await log.append([write('account-a', [opened()])])
    const published: bigint[] = []
    log.afterCommit(({ commitNo }) => published.push(commitNo))
    proxy.arm(cut, { refuseAfter: true })
    const head = log.head.commitNo
    await expect(log.append([write('account-a', [moved(1n)])])).rejects.toThrow(CommitInDoubtError)
    await expect(log.append([write('account-a', [moved(1n)])])).rejects.toThrow(LogUnavailableError)
    expect(models.view.rows(accountsTable).get({ id: 'account-a' })).toMatchObject({ moves: 0 })
    proxy.allow()
    await available(log)
    expect(await collect(log.readStream('account-a'))).toHaveLength(1 + recorded)
    expect(models.view.rows(accountsTable).get({ id: 'account-a' })).toMatchObject({ moves: recorded })
    expect(published).toEqual(recorded === 1 ? [head + 1n] : [])
    await log.append([write('account-a', [moved(1n)])])
    expect(await models.replayCheck()).toMatchObject({ identical: true })
  })
})

describe('a log that is away', () => {
  test('refuses appends at once, those that wait as well, and comes back by itself', async () => {
    const alarms: string[] = []
    const { proxy, address, direct } = await proxied()
    await using _proxy = proxy
    await using log = await openLog(address, { onAlarm: ({ kind }) => alarms.push(kind) })
    await using holder = await holdTable(direct, 'event')
    const first = log.append([write('a', [newEvent('Put')])])
    await sleep(100) // on its way, and held
    const waiting = log.append([write('a', [newEvent('Put')])])
    proxy.refuse()
    await expect(waiting).rejects.toThrow(LogUnavailableError)
    const since = await log.append([write('a', [newEvent('Put')])]).catch((error: unknown) => error)
    expect(since).toHaveProperty('sinceUs', expect.any(BigInt))
    expect(since).toHaveProperty(
      'message',
      expect.stringMatching(/^Cannot append: the log is unavailable since 20.*Z \(.+\)$/),
    )
    await holder.release()
    proxy.allow()
    expect((await first).events).toHaveLength(1)
    await log.append([write('a', [newEvent('Put')])])
    expect(await collect(log.readStream('a'))).toHaveLength(2)
    expect(alarms).toEqual(['unavailable', 'available'])
  })

  test('is noticed while nobody appends', async () => {
    const alarms: string[] = []
    const { proxy, address } = await proxied()
    await using _proxy = proxy
    await using log = await openLog(address, { onAlarm: ({ kind }) => alarms.push(kind) })
    proxy.refuse()
    while (alarms.length === 0) await sleep(5)
    await expect(log.append([write('a', [newEvent('Put')])])).rejects.toThrow(LogUnavailableError)
    proxy.allow()
    await available(log)
    await log.append([write('a', [newEvent('Put')])])
    expect(alarms).toEqual(['unavailable', 'available'])
  })

  test('loses nothing acknowledged when the server is killed under load, and answers every caller', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    await using log = await openLog(address, { participants: [models] })
    await log.append(Array.from({ length: 8 }, (_, at) => write(`account-${at}`, [opened()])))
    const acknowledged = new Set<string>()
    const sent = new Set<string>()
    let stop = false
    const clients = Array.from({ length: 8 }, async (_, client) => {
      while (!stop) {
        const event = moved(1n)
        sent.add(event.eventId)
        await log.append([write(`account-${client}`, [event])]).then(
          () => acknowledged.add(event.eventId),
          () => sleep(5),
        )
      }
    })
    for (let kills = 0; kills < 3; kills += 1) {
      await sleep(150)
      await server.kill()
      await server.resume()
      await available(log)
    }
    await sleep(100)
    stop = true
    await Promise.all(clients)
    const ids = (await collect(log.readAll())).map(({ eventId }) => eventId)
    const present = new Set(ids)
    expect(present.size).toBe(ids.length)
    expect([...acknowledged].filter((id) => !present.has(id))).toEqual([])
    expect(acknowledged.size).toBeGreaterThan(20)
    expect(await models.replayCheck()).toMatchObject({ identical: true })
    const rows = textOf(all(models.view))
    await log.close()
    const again = accountModels()
    await using _log = await openLog(address, { participants: [again] })
    expect(textOf(all(again.view))).toBe(rows)
  })

  test('a server without space refuses the commit cleanly; the next one works when there is space', async () => {
    const address = await server.createDatabase()
    const database = address.database ?? ''
    const models = accountModels()
    await using log = await openLog(address, { participants: [models] })
    await log.append([write('account-a', [opened()])])
    await server.run(
      database,
      `create function full_disk() returns trigger language plpgsql as $$ begin raise exception 'could not extend file' using errcode = '53100'; end $$;
       create trigger full_disk before insert on event_0 for each row execute function full_disk()`,
    )
    await expect(log.append([write('account-a', [moved(1n)])])).rejects.toThrow(
      /unavailable since .*could not extend file/,
    )
    await expect(log.append([write('account-a', [moved(1n)])])).rejects.toThrow(LogUnavailableError)
    expect(models.view.rows(accountsTable).get({ id: 'account-a' })).toMatchObject({ balance: 0n })
    await server.run(database, 'drop trigger full_disk on event_0')
    await log.append([write('account-a', [moved(1n)])])
    expect(await collect(log.readStream('account-a'))).toHaveLength(2)
  })

  test('gives a hanging commit up after its time limit and settles it', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address, { limits: { commitTimeoutMs: 300, inDoubtWaitMs: 10_000 } })
    await using holder = await holdTable(address, 'event')
    const hanging = log.append([write('a', [newEvent('Put')])])
    await sleep(600)
    await expect(log.append([write('a', [newEvent('Put')])])).rejects.toThrow(LogUnavailableError)
    await holder.release()
    expect((await hanging).events).toHaveLength(1)
    expect(await collect(log.readStream('a'))).toHaveLength(1)
  })
})

describe('back-pressure', () => {
  test.each([
    { limits: { queueRequests: 5 }, what: 'requests' },
    { limits: { queueBytes: 100 }, what: 'bytes' },
  ])('refuses what does not fit into the queue ($what), and takes more once it is empty', async ({ limits }) => {
    await using log = await openLog(await server.createDatabase(), { limits })
    const put = () => write('a', [newEvent('Put', { text: 'x'.repeat(8) })])
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, () => log.append([put()])))
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    expect(refused.length).toBeGreaterThan(20)
    for (const outcome of refused) expect(outcome).toHaveProperty('reason', expect.any(LogBusyError))
    await log.append([put()])
    expect(await collect(log.readStream('a'))).toHaveLength(30 - refused.length + 1)
  })
})

describe('a writer that was replaced', () => {
  const quick: Partial<EventStoreOptions> = { limits: { lockWaitMs: 2_000, inDoubtWaitMs: 500 } }

  test('is fenced by its own next append, and refuses everything after', async () => {
    const alarms: string[] = []
    const { proxy, address, direct } = await proxied()
    await using _proxy = proxy
    const old = await openLog(address, { ...quick, onAlarm: ({ kind }) => alarms.push(kind) })
    proxy.refuse() // the old one is cut off, its lock goes
    await using log = await openLog(direct, quick)
    await log.append([write('a', [newEvent('Put')])])
    proxy.allow()
    while (!alarms.includes('fenced')) await sleep(5)
    await expect(old.append([write('a', [newEvent('Put')])])).rejects.toThrow(FencedError)
    await expect(old.append([write('b', [newEvent('Put')])])).rejects.toThrow(/taken over by process \d+ on testhost/)
    await old.close()
    await log.append([write('a', [newEvent('Put')])])
    expect(await collect(log.readAll())).toHaveLength(4)
  })

  test('is fenced by the chain itself where even the lock failed', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    const log = await openLog(address, { participants: [models] })
    await log.append([write('account-a', [opened()])])
    await server.run(
      address.database ?? '',
      `insert into commit select commit_no + 1, commit_no, last_pos, last_pos + 1, last_pos + 1, at_us + 1, epoch + 1, root
        from commit order by commit_no desc limit 1`,
    )
    const outcomes = await Promise.allSettled([
      log.append([write('account-a', [moved(1n)])]),
      log.append([write('account-b', [opened()])]),
    ])
    for (const outcome of outcomes) expect(outcome).toHaveProperty('reason', expect.any(FencedError))
    await expect(log.append([write('a', [newEvent('Put')])])).rejects.toThrow(FencedError)
    expect(models.view.rows(accountsTable).size).toBe(1)
    await log.close()
  })

  test('is fenced where there is no log any more', async () => {
    const address = await server.createDatabase()
    const alarms: string[] = []
    const log = await openLog(address, { onAlarm: ({ kind }) => alarms.push(kind) })
    await log.append([write('a', [newEvent('Put')])])
    await server.run(
      address.database ?? '',
      `drop schema public cascade;
       create schema public;
       select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'chronovisor writer' and datname = current_database()`,
    )
    while (!alarms.includes('fenced')) await sleep(5)
    await expect(log.append([write('a', [newEvent('Put')])])).rejects.toThrow(/cannot be read any more/)
    await log.close()
  })

  test('is fenced by rows that are not those it knows', async () => {
    const address = await server.createDatabase()
    const log = await openLog(address, { participants: [accountModels()] })
    await log.append([write('account-a', [opened()])])
    await server.run(address.database ?? '', 'delete from accounts')
    await expect(log.append([write('account-a', [moved(1n)])])).rejects.toThrow(/not those the writer knows/)
    await log.close()
  })
})

/** Keeps others from writing to a table, as a server that hangs would. */
async function holdTable(address: PostgresAddress, table: string) {
  const pg = await import('pg')
  const client = new pg.default.Client({ ...address })
  await client.connect()
  await client.query(`begin; lock table ${table} in share mode`)
  let held = true
  const release = async () => {
    if (!held) return
    held = false
    await client.query('rollback')
    await client.end()
  }
  return { release, [Symbol.asyncDispose]: release }
}
