import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EventRing } from '../../src/eventstore/event-ring.ts'
import { RecentReads } from '../../src/eventstore/recent-reads.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'

const noBytes = new Uint8Array()

function eventOf(
  position: number,
  { stream, revision, type = 'Told' }: { stream: string; revision: number; type?: string },
) {
  return {
    position: BigInt(position),
    stream,
    revision: BigInt(revision),
    type,
    schema: 1,
    eventId: `id-${position}`,
    commitNo: 0n,
    epoch: 1,
    recordedAtUs: 0n,
    data: noBytes,
    meta: noBytes,
  }
}

/** A commit as the writer tells of it. */
function batchOf(events: readonly RecordedEvent[]) {
  return {
    events,
    staged: (stream: string, from: bigint) =>
      events.filter((event) => event.stream === stream && event.revision >= from),
  }
}

function ringOf(events: readonly RecordedEvent[], ringEvents = 100): EventRing {
  const ring = new EventRing({ ringEvents, ringBytes: 1 << 30 })
  ring.restart(0n)
  ring.push(events)
  return ring
}

const all = (end: bigint) => ({ first: 0n, last: end })
const first = eventOf(0, { stream: 'a', revision: 0 })
const second = eventOf(1, { stream: 'a', revision: 1 })
const other = eventOf(1, { stream: 'b', revision: 0 })

describe('EventRing.streamTail()', () => {
  test('gives the end of a stream where all of it is held, whatever was let go and begun anew', () => {
    const step = fc.oneof(
      { weight: 9, arbitrary: fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }) },
      { weight: 1, arbitrary: fc.constant(null) },
    )
    const size = fc.integer({ min: 1, max: 12 })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 900 }), size, fc.nat(4), (steps, ringEvents, most) => {
        const ring = ringOf([], ringEvents)
        let held: RecordedEvent[] = []
        let position = 0
        const revisions = new Map<string, number>()
        for (const streams of steps) {
          if (streams === null) {
            ring.restart(ring.next)
            held = []
            continue
          }
          const events = streams.map((number) => {
            const stream = `s-${number}`
            const revision = (revisions.get(stream) ?? -1) + 1
            revisions.set(stream, revision)
            position += 1
            return eventOf(position - 1, { stream, revision })
          })
          ring.push(events)
          held = [...held, ...events].slice(-ringEvents)
          for (const stream of ['s-0', 's-3']) {
            const own = held.filter((event) => event.stream === stream)
            const end = own.at(-1)?.revision ?? null
            expect(ring.endOf(stream)).toBe(end)
            if (end === null) continue
            const from = end - BigInt(position % 4)
            const wanted = own.filter(({ revision }) => revision >= from)
            const isWhole = own.some(({ revision }) => revision === from)
            const tail = ring.streamTail(stream, { from, most })
            if (isWhole && wanted.length <= most) expect(tail).toEqual(wanted)
            else expect(tail).toBeNull()
          }
        }
      }),
      { numRuns: 30 },
    )
  })
})

describe('RecentReads', () => {
  test('answers out of the ring what is asked for, and leaves to the table what the ring has not', async () => {
    const recent = new RecentReads(ringOf([first, second]), () => true)
    expect(await recent.read('a', all)).toEqual([first, second])
    expect(await recent.read('a', (end) => ({ first: end, last: end }))).toEqual([second])
    expect(await recent.read('a', () => ({ first: 0n, last: 0n }))).toEqual([first])
    expect(await recent.read('a', (end) => ({ first: end + 1n, last: end }))).toEqual([])
    expect(await recent.read('b', all)).toBeNull()
    expect(await new RecentReads(ringOf([first, second], 1), () => true).read('a', all)).toBeNull()
  })

  test('says nothing where another process may have written', async () => {
    expect(await new RecentReads(ringOf([first]), () => false).read('a', all)).toBeNull()
  })

  test('has who reads a stream of the commit under way wait for it, nobody else', async () => {
    const ring = ringOf([first])
    const recent = new RecentReads(ring, () => true)
    const batch = batchOf([other])
    recent.sent(batch)
    expect(recent.read('a', all)).toEqual([first])
    const waiting = recent.read('b', all)
    ring.push([other])
    recent.settled(batch)
    expect(await waiting).toEqual([other])
  })

  test('gives what was there where the commit under way is not recorded', async () => {
    const recent = new RecentReads(ringOf([first]), () => true)
    const batch = batchOf([second])
    recent.sent(batch)
    const waiting = recent.read('a', all)
    recent.settled(batch)
    expect(await waiting).toEqual([first])
  })

  test('sends to the table who would wait for a commit of which nobody knows', async () => {
    const recent = new RecentReads(ringOf([first]), () => true)
    recent.sent(batchOf([second]))
    const waiting = recent.read('a', all)
    recent.left()
    expect(await waiting).toBeNull()
    expect(await recent.read('a', all)).toBeNull()
  })

  test('sends everybody to the table while data is taken away', async () => {
    const recent = new RecentReads(ringOf([first]), () => true)
    const batch = batchOf([eventOf(1, { stream: 'node-1', revision: 0, type: 'PayloadErased' })])
    recent.sent(batch)
    expect(await recent.read('a', all)).toBeNull()
    recent.settled(batch)
    expect(await recent.read('a', all)).toEqual([first])
  })
})
