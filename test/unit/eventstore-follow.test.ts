import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EventRing } from '../../src/eventstore/event-ring.ts'
import { Ending, type Followed, followLog } from '../../src/eventstore/follow-log.ts'
import { ItemIterator } from '../../src/eventstore/item-iterator.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { RetryPatience } from '../../src/eventstore/retry-patience.ts'
import type { Delivery } from '../../src/eventstore/subscription.ts'

const payload = Buffer.from('{}')

function eventAt(position: number): RecordedEvent {
  return {
    position: BigInt(position),
    stream: `s-${position % 3}`,
    revision: BigInt(Math.floor(position / 3)),
    type: 'Put',
    schema: 1,
    eventId: '',
    commitNo: 1n,
    epoch: 1,
    recordedAtUs: 1n,
    data: payload,
    meta: payload,
  }
}

function eventsFrom(first: number, count: number): RecordedEvent[] {
  return Array.from({ length: count }, (_, at) => eventAt(first + at))
}

/** Lets everything run that does not wait for something to come. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** A table in memory, and a ring that is fed from it when told so: by a writer at once, by another process later. */
class ModelLog {
  readonly ring: EventRing
  readonly table: RecordedEvent[] = []
  readonly #pageEvents: number
  #failures = 0

  constructor({ ringEvents, pageEvents }: { readonly ringEvents: number; readonly pageEvents: number }) {
    this.ring = new EventRing({ ringEvents, ringBytes: 1 << 20 })
    this.ring.restart(0n)
    this.#pageEvents = pageEvents
  }

  append(count: number): void {
    this.table.push(...eventsFrom(this.table.length, count))
  }

  feed(): void {
    this.ring.push(this.table.slice(Number(this.ring.next)))
  }

  failOnce(): void {
    this.#failures += 1
  }

  subscribe(from: number, stream: string | null): ItemIterator<Delivery> {
    const ending = new Ending()
    const parts = { ring: this.ring, ending, patience: new RetryPatience() }
    const isOver = (): boolean => ending.isOver
    return new ItemIterator(followLog(this.#followed(from, stream), parts), { isOver, stop: () => ending.end() })
  }

  #followed(from: number, stream: string | null): Followed {
    const isWanted = (event: RecordedEvent): boolean => stream === null || event.stream === stream
    return {
      begin: () => Promise.resolve(BigInt(from) - 1n),
      read: (after) => this.#pages(after, isWanted),
      wants: isWanted,
      stream,
      checkpointEvery: null,
    }
  }

  async *#pages(after: bigint, isWanted: (event: RecordedEvent) => boolean) {
    const end = this.table.length
    for (let at = Number(after) + 1; at < end; at += this.#pageEvents) {
      await Promise.resolve()
      if (this.#failures > 0) {
        this.#failures -= 1
        throw new Error('Connection terminated unexpectedly')
      }
      const page = this.table.slice(at, Math.min(at + this.#pageEvents, end))
      yield { events: page.filter(isWanted), upTo: BigInt(at + page.length - 1) }
    }
  }
}

/** Takes deliveries one by one, as many as are wanted and there; goes on after a restart where it was. */
class ModelSubscriber {
  readonly positions: bigint[] = []
  readonly #log: ModelLog
  readonly #stream: string | null
  #iterator: ItemIterator<Delivery>
  #pending: Promise<void> | null = null

  constructor(log: ModelLog, stream: string | null) {
    this.#log = log
    this.#stream = stream
    this.#iterator = log.subscribe(0, stream)
  }

  async take(most: number): Promise<void> {
    for (let taken = 0; taken < most; taken += 1) {
      this.#pending ??= this.#next()
      await settle()
      if (this.#pending !== null) return
    }
  }

  async restart(): Promise<void> {
    await this.#iterator.return()
    await this.#pending
    this.#iterator = this.#log.subscribe(Number(this.positions.at(-1) ?? -1n) + 1, this.#stream)
  }

  async #next(): Promise<void> {
    const { value } = await this.#iterator.next()
    this.#pending = null
    if (value?.kind === 'event') this.positions.push(value.event.position)
  }
}

describe('followLog()', () => {
  const count = fc.integer({ min: 1, max: 12 })
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('append' as const), count }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('feed' as const) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('take' as const), count }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('refill' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail' as const) }) },
  )
  const run = fc.record({
    ringEvents: fc.integer({ min: 1, max: 10 }),
    pageEvents: fc.integer({ min: 1, max: 7 }),
    stream: fc.constantFrom(null, 's-1'),
    isWriter: fc.boolean(),
    before: fc.integer({ min: 0, max: 10 }),
    steps: fc.array(step, { maxLength: 30 }),
  })

  // T19
  test('tells every event once and in order, whatever appends, slow use, small rings, restarts and failures come together', async () => {
    await fc.assert(
      fc.asyncProperty(run, async ({ stream, isWriter, before, steps, ...limits }) => {
        const log = new ModelLog(limits)
        log.append(before)
        log.ring.restart(BigInt(before))
        const subscriber = new ModelSubscriber(log, stream)
        for (const each of steps) {
          switch (each.kind) {
            case 'append':
              log.append(each.count)
              if (isWriter) log.feed()
              break
            case 'feed':
              log.feed()
              break
            case 'take':
              await subscriber.take(each.count)
              break
            case 'refill':
              log.ring.restart(BigInt(log.table.length))
              break
            case 'restart':
              await subscriber.restart()
              break
            case 'fail':
              log.failOnce()
          }
        }
        log.feed()
        const wanted = log.table.filter((event) => stream === null || event.stream === stream)
        await expect
          .poll(async () => {
            await subscriber.take(100)
            return subscriber.positions
          })
          .toEqual(wanted.map(({ position }) => position))
        await subscriber.restart()
      }),
      { numRuns: 300 },
    )
  }, 120_000)
})

describe('EventRing', () => {
  test('holds the newest events within its limits, however many came', () => {
    const byCount = new EventRing({ ringEvents: 100, ringBytes: 1 << 30 })
    const byBytes = new EventRing({ ringEvents: 1 << 30, ringBytes: 50_000 })
    for (const ring of [byCount, byBytes]) {
      ring.restart(0n)
      for (let at = 0; at < 100_000; at += 50) ring.push(eventsFrom(at, 50))
    }
    expect([byCount.size, byCount.next]).toEqual([100, 100_000n])
    expect(byBytes.bytes).toBeLessThanOrEqual(50_000)
    expect(byBytes.size).toBe(Math.floor(50_000 / (400 + 4)))
    expect([byCount.reaches(99_899n), byCount.reaches(99_898n)]).toEqual([true, false])
    expect(byCount.after(99_997n, 10).map(({ position }) => position)).toEqual([99_998n, 99_999n])
    expect(byCount.after(99_950n, 2).map(({ position }) => position)).toEqual([99_951n, 99_952n])
    expect(byCount.after(99_999n, 2)).toEqual([])
  })

  test('takes nothing that leaves a gap', () => {
    const ring = new EventRing({ ringEvents: 10, ringBytes: 1 << 20 })
    ring.restart(5n)
    expect(() => ring.push(eventsFrom(6, 1))).toThrow('position 6 comes where 5 is next')
    expect(() => ring.push(eventsFrom(4, 1))).toThrow('position 4 comes where 5 is next')
  })

  test('wakes those who wait for all or for the stream, and forgets who has given up', async () => {
    const ring = new EventRing({ ringEvents: 10, ringBytes: 1 << 20 })
    ring.restart(0n)
    const all = ring.wait(null)
    const second = ring.wait('s-1')
    const other = ring.wait('nowhere')
    const gone = ring.wait('s-1')
    gone.cancel()
    expect(ring.waiting).toBe(3)
    ring.push(eventsFrom(0, 3))
    expect(await Promise.all([all.woken, second.woken, gone.woken])).toEqual([0n, 1n, null])
    expect(ring.waiting).toBe(1)
    ring.restart(9n)
    expect(await other.woken).toBeNull()
    expect(ring.waiting).toBe(0)
  })
})

describe('ItemIterator', () => {
  const control = { isOver: () => false, stop: () => undefined }

  test('answers in order, also who asks before the last answer is there', async () => {
    const batches = (async function* () {
      yield [1, 2]
      await Promise.resolve()
      yield []
      yield [3]
    })()
    const items = new ItemIterator(batches, control)
    const answers = await Promise.all(Array.from({ length: 5 }, async () => await items.next()))
    expect(answers.map(({ value }) => value)).toEqual([1, 2, 3, undefined, undefined])
    expect(answers.map(({ done }) => done)).toEqual([false, false, false, true, true])
  })

  test('passes on an error once and is over then', async () => {
    const items = new ItemIterator(failing(), control)
    expect(await items.next()).toEqual({ done: false, value: 1 })
    await expect(items.next()).rejects.toThrow('broken')
    expect(await items.next()).toEqual({ done: true, value: undefined })
  })

  test('hands out nothing of a batch once it is over', async () => {
    const state = { isOver: false }
    const batches = (async function* () {
      yield [1, 2, 3]
    })()
    const items = new ItemIterator(batches, { ...control, isOver: () => state.isOver })
    expect(await items.next()).toEqual({ done: false, value: 1 })
    state.isOver = true
    expect(await items.next()).toEqual({ done: true, value: undefined })
  })
})

async function* failing(): AsyncGenerator<readonly number[]> {
  yield [1]
  await Promise.resolve()
  throw new Error('broken')
}
