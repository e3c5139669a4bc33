import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type AllStreamSubscription,
  END,
  type EventStoreDBClient,
  eventTypeFilter,
  excludeSystemEvents,
  type Position,
  type ResolvedEvent,
  START,
  streamNameFilter,
  UnavailableError,
} from '@eventstore/db-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { numbered, serveGrpc, type TestGrpc, patience } from '../support/grpc-kit.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

let postgres: ScratchPostgres
beforeAll(async () => {
  postgres = await ScratchPostgres.start()
})
afterAll(async () => {
  await postgres[Symbol.asyncDispose]()
})

/** A log of its own, with a server and a client. */
async function newLog(limits: { readonly ringEvents?: number } = {}) {
  const stack = new AsyncDisposableStack()
  const store: EventStore = stack.use(await openLog(await postgres.createDatabase(), { limits }))
  const grpc: TestGrpc = stack.use(await serveGrpc(store))
  const client: EventStoreDBClient = grpc.client()
  return { store, grpc, client, [Symbol.asyncDispose]: async () => await stack.disposeAsync() }
}

/** The next so many events of a subscription. */
async function take<E>(subscription: AsyncIterable<E>, count: number): Promise<E[]> {
  const taken: E[] = []
  // Not `break`: that would end the subscription.
  const iterator = subscription[Symbol.asyncIterator]()
  while (taken.length < count) {
    const next = await iterator.next()
    if (next.done === true) throw new Error(`The subscription ended after ${taken.length} events`)
    taken.push(next.value)
  }
  return taken
}

/** Resolves when the server has said that the subscription stands. */
async function confirmed(subscription: { once(event: 'confirmation', listener: () => void): unknown }): Promise<void> {
  await new Promise<void>((resolve) => subscription.once('confirmation', resolve))
}

const at = (position: bigint): Position => ({ commit: position, prepare: position })
const positionsOf = (events: readonly Pick<ResolvedEvent, 'event'>[]) =>
  events.map(({ event }) => event?.position?.commit)
const revisionsOf = (events: readonly Pick<ResolvedEvent, 'event'>[]) => events.map(({ event }) => event?.revision)

describe('subscribeToAll()', () => {
  test('tells what is there, that it has caught up, and then what comes', async () => {
    await using log = await newLog()
    await log.client.appendToStream('a-1', numbered(5))
    const subscription = log.client.subscribeToAll()
    const told: string[] = []
    subscription.on('caughtUp', () => told.push('caught up'))
    const first = await take(subscription, 6)
    await expect.poll(() => told, patience).toEqual(['caught up'])
    expect(subscription.id).toMatch(/^[0-9a-f-]{36}$/)
    await log.client.appendToStream('a-1', numbered(3))
    const next = await take(subscription, 3)
    expect(positionsOf([...first, ...next])).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n])
    await subscription.unsubscribe()
    await expect.poll(() => log.grpc.server.callCount, patience).toBe(1) // the call by which the client appends
  })

  test.each([0, 1, 5])('T10: from the end tells only what comes, after %i events of clients', async (count) => {
    await using log = await newLog()
    if (count > 0) await log.client.appendToStream('a-1', numbered(count))
    const subscription = log.client.subscribeToAll({ fromPosition: END })
    await confirmed(subscription)
    await log.client.appendToStream('b-1', numbered(2))
    expect(positionsOf(await take(subscription, 2))).toEqual([BigInt(count) + 1n, BigInt(count) + 2n])
  })

  test('from a position begins after it', async () => {
    await using log = await newLog()
    await log.client.appendToStream('a-1', numbered(5))
    const subscription = log.client.subscribeToAll({ fromPosition: at(3n) })
    expect(positionsOf(await take(subscription, 2))).toEqual([4n, 5n])
  })

  const filters = [
    {
      name: 'prefixes of streams',
      filter: streamNameFilter({ prefixes: ['b-', 'c-'] }),
      wanted: ['b-1', 'c-1', 'b-1'],
    },
    { name: 'a pattern of streams', filter: streamNameFilter({ regex: '^[bc]-' }), wanted: ['b-1', 'c-1', 'b-1'] },
    { name: 'prefixes of types', filter: eventTypeFilter({ prefixes: ['Ord'] }), wanted: ['a-1', 'c-1'] },
    { name: 'a pattern of types', filter: eventTypeFilter({ regex: 'er.*d$' }), wanted: ['a-1', 'c-1'] },
    { name: 'no system events', filter: excludeSystemEvents(), wanted: ['node-test', 'a-1', 'b-1', 'c-1', 'b-1'] },
  ]

  test.each(filters)('tells only what passes $name, before and after it has caught up', async ({ filter, wanted }) => {
    await using log = await newLog()
    const appends: readonly (readonly [stream: string, type: string])[] = [
      ['a-1', 'Ordered'],
      ['b-1', 'Paid'],
      ['c-1', 'Ordered'],
      ['$x-1', '$>'],
      ['b-1', 'Sent'],
    ]
    const subscription = log.client.subscribeToAll({ filter })
    const found: (string | undefined)[] = []
    subscription.on('data', ({ event }) => found.push(event?.streamId))
    for (const [stream, type] of appends) await log.store.append([write(stream, [newEvent(type)])])
    await expect.poll(() => found, patience).toEqual(wanted)
    const again = log.client.subscribeToAll({ filter })
    const live = await take(again, wanted.length)
    expect(live.map(({ event }) => event?.streamId)).toEqual(wanted)
  })

  test('tells filtered subscribers how far it has looked, and goes on from there', async () => {
    await using log = await newLog()
    await log.client.appendToStream('other-1', numbered(900))
    const checkpoints: bigint[] = []
    const checkpointReached = async (_subscription: AllStreamSubscription, position: Position) => {
      checkpoints.push(position.commit)
    }
    const filter = streamNameFilter({
      prefixes: ['rare-'],
      checkpointInterval: 2,
      maxSearchWindow: 100,
      checkpointReached,
    })
    const subscription = log.client.subscribeToAll({ filter })
    subscription.on('data', () => undefined)
    await expect.poll(() => checkpoints.length, patience).toBeGreaterThan(0)
    await expect.poll(() => checkpoints.at(-1), patience).toBeGreaterThanOrEqual(700n)
    expect(checkpoints).toEqual([...checkpoints].sort((a, b) => Number(a - b)))
    await subscription.unsubscribe()
    await log.client.appendToStream('rare-1', numbered(1))
    const last = checkpoints.at(-1) ?? 0n
    const later = log.client.subscribeToAll({
      filter: streamNameFilter({ prefixes: ['rare-'] }),
      fromPosition: at(last),
    })
    expect((await take(later, 1)).map(({ event }) => event?.streamId)).toEqual(['rare-1'])
  })

  test('holds back for a client that does not read, and loses nothing to it', async () => {
    await using log = await newLog({ ringEvents: 500 })
    const count = 12_000
    for (let done = 0; done < count; done += 1_000) {
      await log.store.append([
        write(
          'a-1',
          Array.from({ length: 1_000 }, () => newEvent('Put', { text: 'x'.repeat(200) })),
        ),
      ])
    }
    let given = 0
    const counted = countDeliveries(log.store, () => (given += 1))
    await using slow = await serveGrpc(counted)
    const subscription = slow.client().subscribeToAll({}, { highWaterMark: 1 })
    expect(positionsOf(await take(subscription, 1))).toEqual([0n])
    await expect.poll(() => given, patience).toBeGreaterThan(1)
    await settled(() => given)
    // What fits into the windows of HTTP/2 and the buffers of both ends is well below a third of it.
    expect(given).toBeLessThan(count / 3)
    let fellBehind = 0
    subscription.on('fellBehind', () => (fellBehind += 1))
    const rest = await take(subscription, count)
    expect(positionsOf(rest)).toEqual(Array.from({ length: count }, (_, index) => BigInt(index + 1)))
    subscription.pause()
    for (let done = 0; done < 8; done += 1) {
      await log.store.append([
        write(
          'b-1',
          Array.from({ length: 1_000 }, () => newEvent('Put', { text: 'x'.repeat(200) })),
        ),
      ])
    }
    const late = await take(subscription, 8_000)
    expect(positionsOf(late).at(0)).toBe(BigInt(count) + 1n)
    expect(new Set(positionsOf(late)).size).toBe(8_000)
    expect(fellBehind).toBeGreaterThan(0)
  })

  test('goes on after a restart of the server from the last position, losing and repeating nothing', async () => {
    await using log = await newLog()
    const address = { kind: 'unix', path: join(log.grpc.directory, 'other.sock'), mode: 0o600 } as const
    const seen: (bigint | undefined)[] = []
    const total = 400
    const writing = (async () => {
      for (let done = 0; done < total; done += 1) {
        await log.store.append([write('a-1', [newEvent('Put', { done })])])
        await sleep(1)
      }
    })()
    let server = await serveGrpc(log.store, { address })
    const client = server.client()
    let restarts = 0
    const failures: unknown[] = []
    while (seen.length < total + 1) {
      const last = seen.at(-1)
      const subscription = client.subscribeToAll({ fromPosition: last === undefined ? START : at(last) })
      try {
        for await (const { event } of subscription) {
          seen.push(event?.position.commit)
          if (seen.length > total) break
          if (restarts < 3 && seen.length === (restarts + 1) * 100) {
            restarts += 1
            await server.server.close({ graceMs: 200 })
          }
        }
      } catch (error) {
        failures.push(error)
        server = await serveGrpc(log.store, { address })
      }
    }
    await writing
    await client.dispose()
    await server[Symbol.asyncDispose]()
    expect(failures).toHaveLength(3)
    expect(failures.every((error) => error instanceof UnavailableError)).toBe(true)
    expect(seen).toEqual(Array.from({ length: total + 1 }, (_, index) => BigInt(index)))
  })

  test('is refused with a pattern that cannot be followed in one pass', async () => {
    await using log = await newLog()
    const subscription = log.client.subscribeToAll({ filter: eventTypeFilter({ regex: '(?=x)' }) })
    const failure = take(subscription, 1)
    await expect(failure).rejects.toThrow('Cannot use the regular expression')
  })
})

describe('subscribeToStream()', () => {
  test('tells the stream in its order, and waits for one that does not exist yet', async () => {
    await using log = await newLog()
    const subscription = log.client.subscribeToStream('later-1')
    await confirmed(subscription)
    await log.client.appendToStream('other-1', numbered(2))
    await log.client.appendToStream('later-1', numbered(3))
    expect(revisionsOf(await take(subscription, 3))).toEqual([0n, 1n, 2n])
  })

  const starts = [
    { fromRevision: START, first: [0n, 1n, 2n] },
    { fromRevision: 0n, first: [1n, 2n] },
    { fromRevision: 1n, first: [2n] },
    { fromRevision: END, first: [] },
  ] as const

  test.each(starts)('from $fromRevision tells $first of three, then what comes', async ({ fromRevision, first }) => {
    await using log = await newLog()
    await log.client.appendToStream('a-1', numbered(3))
    const subscription = log.client.subscribeToStream('a-1', { fromRevision })
    await confirmed(subscription)
    await log.client.appendToStream('a-1', numbered(1))
    expect(revisionsOf(await take(subscription, first.length + 1))).toEqual([...first, 3n])
  })

  test('serves many subscribers at the same time, each with everything', async () => {
    await using log = await newLog()
    const subscriptions = Array.from({ length: 60 }, () => log.client.subscribeToStream('a-1'))
    await Promise.all(subscriptions.map(confirmed))
    for (let done = 0; done < 20; done += 1) await log.client.appendToStream('a-1', numbered(1))
    const taken = await Promise.all(subscriptions.map((subscription) => take(subscription, 20)))
    const wanted = Array.from({ length: 20 }, (_, index) => BigInt(index))
    for (const events of taken) expect(revisionsOf(events)).toEqual(wanted)
  })
})

/** The store with a count of what it has given to subscribers. */
function countDeliveries(store: EventStore, count: () => void): EventStore {
  return new Proxy(store, {
    get(target, name) {
      if (name === 'subscribe') {
        return async function* (options: Parameters<EventStore['subscribe']>[0]) {
          for await (const delivery of target.subscribe(options)) {
            count()
            yield delivery
          }
        }
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Waits until a number has not changed for a while. */
async function settled(read: () => number): Promise<void> {
  for (let last = -1; last !== read(); ) {
    last = read()
    await sleep(300)
  }
}
