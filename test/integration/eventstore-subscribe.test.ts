import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { LogReader } from '../../src/eventstore/log-reader.ts'
import { openLogReader } from '../../src/eventstore/open-log-reader.ts'
import type { Delivery } from '../../src/eventstore/subscription.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import { Subscriber } from '../support/subscriber.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

interface Opened extends AsyncDisposable {
  readonly reader: LogReader
}

/** The same log as its writer and as another process has it. */
const readers = [
  {
    name: 'its writer',
    open: (log: EventStore): Promise<Opened> => Promise.resolve(opened(log, async () => undefined)),
  },
  {
    name: 'a reader that polls',
    open: async (log: EventStore): Promise<Opened> => {
      const reader = await openLogReader({ address: addresses.get(log) ?? {} })
      return opened(reader, async () => await reader.close())
    },
  },
]
const addresses = new Map<EventStore, Awaited<ReturnType<ScratchPostgres['createDatabase']>>>()

async function openTestLog(options: Parameters<typeof openLog>[1] = {}): Promise<EventStore> {
  const address = await server.createDatabase()
  const log = await openLog(address, options)
  addresses.set(log, address)
  return log
}

function opened(reader: LogReader, close: () => Promise<void>): Opened {
  return { reader, [Symbol.asyncDispose]: close }
}

async function put(log: EventStore, stream: string, what: number | readonly [number, string]): Promise<void> {
  const [count, type] = typeof what === 'number' ? [what, 'Put'] : what
  for (let left = count; left > 0; left -= 1_000) {
    const size = Math.min(left, 1_000)
    await log.append([
      write(
        stream,
        Array.from({ length: size }, () => newEvent(type)),
      ),
    ])
  }
}

describe.each(readers)('subscribe() of $name', ({ open }) => {
  test('tells what is there, then that it is live, then what comes, each once and in order', async () => {
    await using log = await openTestLog()
    await put(log, 'a-1', 2_500)
    await using opening = await open(log)
    const { reader } = opening
    const subscriber = new Subscriber(reader.subscribe())
    await subscriber.until((seen) => seen.caughtUp === 1)
    expect(subscriber.positions).toEqual(range(0n, 2_501n))
    await put(log, 'a-1', 3)
    await log.append([write('b-1', [newEvent('Put'), newEvent('Put')])])
    await subscriber.until((seen) => seen.events.length === 2_506)
    expect(subscriber.positions).toEqual(range(0n, 2_506n))
    await subscriber.end()
  })

  // T10
  test.each([0, 1, 5])('begins at the end where it is told so, after %i events in the stream', async (count) => {
    await using log = await openTestLog()
    await put(log, 'a-1', count)
    await using opening = await open(log)
    const { reader } = opening
    const all = new Subscriber(reader.subscribe({ from: 'end' }))
    const stream = new Subscriber(reader.subscribeStream('a-1', { from: 'end' }))
    await Promise.all([all, stream].map(async (each) => await each.until((seen) => seen.caughtUp === 1)))
    expect([all.events, stream.events]).toEqual([[], []])
    await put(log, 'b-1', 1)
    await put(log, 'a-1', 2)
    await Promise.all([all.until((seen) => seen.events.length === 3), stream.until((seen) => seen.events.length === 2)])
    const first = BigInt(count) + 1n
    expect(all.positions).toEqual(range(first, first + 3n))
    expect(stream.events.map(({ revision }) => revision)).toEqual([BigInt(count), BigInt(count) + 1n])
    await Promise.all([all.end(), stream.end()])
  })

  test('waits for a position, or a revision, that has not come yet', async () => {
    await using log = await openTestLog()
    await using opening = await open(log)
    const { reader } = opening
    const all = new Subscriber(reader.subscribe({ from: 4n }))
    const stream = new Subscriber(reader.subscribeStream('a-1', { from: 3n }))
    await Promise.all([all, stream].map(async (each) => await each.until((seen) => seen.caughtUp === 1)))
    await put(log, 'a-1', 2)
    await put(log, 'a-1', 4)
    await Promise.all([all.until((seen) => seen.events.length === 3), stream.until((seen) => seen.events.length === 3)])
    expect(all.positions).toEqual([4n, 5n, 6n])
    expect(stream.events.map(({ revision }) => revision)).toEqual([3n, 4n, 5n])
    await Promise.all([all.end(), stream.end()])
  })

  test('tells only what passes the filter, and how far it has looked', async () => {
    await using log = await openTestLog()
    for (let at = 0; at < 30; at += 1) {
      await put(log, `a-${at % 3}`, [10, 'Often'])
      await put(log, 'b-1', [1, at % 10 === 0 ? 'Seldom' : 'Often'])
    }
    await using opening = await open(log)
    const { reader } = opening
    const filter = { types: { prefixes: ['Sel'] } }
    const seldom = new Subscriber(reader.subscribe({ filter, checkpointEvery: 50 }))
    const stream = new Subscriber(reader.subscribe({ filter: { streams: { pattern: /^a-[12]$/ } } }))
    await Promise.all([seldom, stream].map(async (each) => await each.until((seen) => seen.caughtUp === 1)))
    expect(seldom.positions).toEqual([11n, 121n, 231n])
    expect(seldom.checkpoints.length).toBeGreaterThanOrEqual(1)
    expect(stream.events).toHaveLength(200)
    await put(log, 'c-1', [120, 'Often'])
    await put(log, 'a-1', [1, 'Seldom'])
    await seldom.until((seen) => seen.events.length === 4)
    await stream.until((seen) => seen.events.length === 201)
    expect(seldom.positions.at(-1)).toBe(log.head.position)
    const distances = seldom.checkpoints.map((position, at) => position - (seldom.checkpoints[at - 1] ?? -1n))
    expect(distances.every((distance) => distance >= 50n)).toBe(true)
    await Promise.all([seldom.end(), stream.end()])
  })

  test('ends without an error: by its signal, by break, by return() while it waits', async () => {
    await using log = await openTestLog()
    await using opening = await open(log)
    const { reader } = opening
    const stop = new AbortController()
    const bySignal = new Subscriber(reader.subscribe({ signal: stop.signal }))
    await bySignal.until((seen) => seen.caughtUp === 1)
    stop.abort()
    await bySignal.ended
    for await (const delivery of reader.subscribe()) if (delivery.kind === 'caught-up') break
    const iterator = reader.subscribeStream('nowhere')[Symbol.asyncIterator]()
    expect(await iterator.next()).toMatchObject({ value: { kind: 'caught-up' } })
    const waiting = iterator.next()
    await iterator.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(await collectAll(reader.subscribe({ signal: AbortSignal.abort() }))).toEqual([])
  })
})

describe('subscribe()', () => {
  test('ends when the store is closed: catching up, live, in a stream, and begun later', async () => {
    const log = await openTestLog()
    await put(log, 'a-1', 3_000)
    const slow = log.subscribe()[Symbol.asyncIterator]()
    await slow.next()
    const live = new Subscriber(log.subscribe({ from: 'end' }))
    const stream = new Subscriber(log.subscribeStream('a-1'))
    await Promise.all([live, stream].map(async (each) => await each.until((seen) => seen.caughtUp === 1)))
    await log.close()
    await Promise.all([live.ended, stream.ended])
    expect(await slow.next()).toEqual({ done: true, value: undefined })
    expect(await collectAll(log.subscribe())).toEqual([])
  })

  test('reads the table again where it was slower than the ring, which holds no more for it', async () => {
    await using log = await openTestLog({ limits: { ringEvents: 100 } })
    const slow = log.subscribe({ from: 'end' })[Symbol.asyncIterator]()
    expect(await slow.next()).toMatchObject({ value: { kind: 'caught-up' } })
    await put(log, 'a-1', 1)
    expect(await slow.next()).toMatchObject({ value: { kind: 'event' } })
    await put(log, 'a-1', 5_000)
    const kinds: Delivery['kind'][] = []
    const positions: bigint[] = []
    while (positions.length < 5_000 || kinds.at(-1) !== 'caught-up') {
      const { value } = await slow.next()
      if (value?.kind !== kinds.at(-1)) kinds.push(value?.kind)
      if (value?.kind === 'event') positions.push(value.event.position)
    }
    expect(kinds).toEqual(['fell-behind', 'event', 'caught-up'])
    expect(positions).toEqual(range(2n, 5_002n))
    await slow.return?.()
  })

  test('keeps no more for a slow subscriber than a page, while a hundred thousand events go by', async () => {
    await using log = await openTestLog({ limits: { ringEvents: 1_000 } })
    const slow = log.subscribe({ from: 'end' })[Symbol.asyncIterator]()
    await slow.next()
    const text = 'x'.repeat(1_000)
    const before = await heldBytes()
    for (let batch = 0; batch < 100; batch += 1) {
      const events = Array.from({ length: 1_000 }, () => newEvent('Put', { text }))
      await log.append([write(`s-${batch}`, events)])
      if (batch % 10 === 0) await slow.next()
    }
    // All of it would be 100 MB and more; the ring has 1 MB, the subscriber a page of 1 MB and the next one.
    expect((await heldBytes()) - before).toBeLessThan(30 << 20)
    await slow.return?.()
  })

  test('serves a thousand subscribers, of the log and of streams', async () => {
    await using log = await openTestLog()
    await put(log, 'a-1', 10)
    const all = Array.from({ length: 500 }, () => new Subscriber(log.subscribe()))
    const streams = Array.from({ length: 500 }, (_, at) => new Subscriber(log.subscribeStream(`s-${at % 50}`)))
    await Promise.all([...all, ...streams].map(async (each) => await each.until((seen) => seen.caughtUp === 1)))
    for (let at = 0; at < 50; at += 1) await put(log, `s-${at}`, 2)
    await Promise.all(all.map(async (each) => await each.until((seen) => seen.events.length === 111)))
    await Promise.all(streams.map(async (each) => await each.until((seen) => seen.events.length === 2)))
    expect(new Set(all.map(({ positions }) => positions.join())).size).toBe(1)
    expect(streams.every(({ events }, at) => events.every(({ stream }) => stream === `s-${at % 50}`))).toBe(true)
    await Promise.all([...all, ...streams].map(async (each) => await each.end()))
  })
})

/** What is held on to: the memory of buffers goes a while after the collection that found them unused. */
async function heldBytes(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  const held: number[] = []
  for (let round = 0; round < 5; round += 1) {
    if (typeof collect === 'function') collect()
    await new Promise((resolve) => setTimeout(resolve, 20))
    const { heapUsed, external } = process.memoryUsage()
    held.push(heapUsed + external)
  }
  return Math.min(...held)
}

function range(first: bigint, end: bigint): bigint[] {
  return Array.from({ length: Number(end - first) }, (_, at) => first + BigInt(at))
}

async function collectAll(deliveries: AsyncIterable<Delivery>): Promise<Delivery[]> {
  return await Array.fromAsync(deliveries)
}
