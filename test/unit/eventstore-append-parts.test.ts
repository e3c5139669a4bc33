import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { LogBusyError, WrongExpectedRevisionError } from '../../src/eventstore/append-errors.ts'
import { AppendQueue } from '../../src/eventstore/append-queue.ts'
import { checkAppend } from '../../src/eventstore/append-request.ts'
import { writeUuid } from '../../src/eventstore/binary-values.ts'
import { blobOf } from '../../src/eventstore/blob-of.ts'
import { ClockWatch } from '../../src/eventstore/clock-watch.ts'
import { type ClockJump, defaultLimits } from '../../src/eventstore/event-store-options.ts'
import { GenerationCache } from '../../src/eventstore/generation-cache.ts'
import { ProtocolWriter } from '../../src/eventstore/protocol-writer.ts'
import { requestTimeMs } from '../../src/eventstore/request-book.ts'
import type { AppendRequest } from '../../src/eventstore/stager.ts'
import { Watchdog } from '../../src/eventstore/watchdog.ts'
import { WriterStats } from '../../src/eventstore/writer-stats.ts'
import { uuidV7 } from '../../src/util/uuid-v7.ts'
import { newEvent, write } from '../support/log-kit.ts'

const ignore = () => undefined
const notAValue = () => {
  throw new Error('not a value')
}

describe('ProtocolWriter', () => {
  // PostgreSQL documentation, "Message Formats"
  test('writes the messages of the extended query protocol', () => {
    const writer = new ProtocolWriter()
    writer.parse('s', 'select $1::text')
    writer.bind('s', ['é', Uint8Array.of(1, 2), null])
    writer.execute()
    writer.sync()
    const expected = [
      ['P', '00000018', '7300', Buffer.from('select $1::text\0').toString('hex'), '0000'],
      [
        'B',
        '00000023',
        '00',
        '7300',
        '0003',
        '000000010000',
        '0003',
        '00000002c3a9',
        '000000020102',
        'ffffffff',
        '0000',
      ],
      ['E', '00000009', '00', '00000000'],
      ['S', '00000004'],
    ].map(([code = '', ...rest]) => Buffer.from(code).toString('hex') + rest.join(''))
    expect(Buffer.from(writer.take()).toString('hex')).toBe(expected.join(''))
    expect(writer.take()).toHaveLength(0)
  })

  test('leaves what was taken alone until the next dialogue begins, and takes back what is not whole', () => {
    const writer = new ProtocolWriter()
    for (const size of [10, 2 << 20, 10, 10, 10, 10, 10]) {
      writer.begin()
      const taken = [1, 2, 3, 4, 5, 6].map((fill) => {
        writer.bind('', [Buffer.alloc(size, fill)])
        return writer.take()
      })
      for (const [at, bytes] of taken.entries())
        expect(bytes.subarray(-2 - size, -2)).toEqual(Buffer.alloc(size, at + 1))
    }
    writer.begin()
    writer.execute()
    const broken = Object.defineProperty(['a'], '0', { get: () => notAValue() })
    expect(() => writer.bind('', broken)).toThrow('not a value')
    writer.rewind()
    writer.sync()
    expect(Buffer.from(writer.take()).toString('latin1')).toBe('E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04')
  })

  test('grows with what it is given', () => {
    const writer = new ProtocolWriter()
    const big = Buffer.alloc(3 << 20, 7)
    writer.bind('', [big])
    const taken = Buffer.from(writer.take())
    expect(taken.readInt32BE(1)).toBe(taken.length - 1)
    expect(taken.subarray(-big.length - 2, -2).equals(big)).toBe(true)
  })
})

describe('writeUuid()', () => {
  test('writes the 16 bytes of either case', () => {
    const bytes = Buffer.alloc(20)
    expect(writeUuid(bytes, '01234567-89ab-CDEF-abcd-ef0123456789', 2)).toBe(18)
    expect(bytes.toString('hex')).toBe('00000123456789abcdefabcdef01234567890000')
  })
})

describe('GenerationCache', () => {
  test('keeps at least what was used last, at most twice as many', () => {
    const cache = new GenerationCache<string, number>(3)
    for (let at = 0; at < 20; at += 1) {
      cache.set(`k${at}`, at)
      expect(cache.get('k0')).toBe(0) // in use
      expect(cache.size).toBeLessThanOrEqual(6)
    }
    expect([17, 18, 19].map((at) => cache.get(`k${at}`))).toEqual([17, 18, 19])
    expect(cache.get('k5')).toBeUndefined()
    cache.clear()
    expect(cache.size).toBe(0)
  })
})

describe('AppendQueue', () => {
  const request = (bytes: number): AppendRequest => ({
    what: { writes: [], eventCount: 0, bytes, blobBytes: 0, requestId: null },
    kind: 'intent',
    requestId: null,
    atMs: 0,
    alone: false,
    poison: null,
    resolve: ignore,
    reject: ignore,
  })

  test('keeps its order and its bounds, whichever way requests leave it', () => {
    const queue = new AppendQueue({ ...defaultLimits, queueRequests: 3, queueBytes: 100 })
    const [a, b, c] = [request(40), request(50), request(10)] as const
    queue.add(a)
    queue.add(b)
    expect(() => queue.add(request(11))).toThrow(LogBusyError)
    queue.add(c)
    expect(() => queue.add(request(0))).toThrow('Cannot append: 3 requests with 100 bytes wait already')
    expect(queue.withdraw(b)).toBe(true)
    expect(queue.withdraw(b)).toBe(false)
    queue.shift()
    expect(queue.first).toBe(c)
    queue.putBack([a, b])
    expect(queue.upTo(2)).toEqual([a, b])
    expect(queue.clear()).toEqual([a, b, c])
    expect(queue.length).toBe(0)
    queue.add(request(100))
  })
})

describe('checkAppend()', () => {
  const limits = { ...defaultLimits, batchBytes: 100, blobBytes: 10 }
  test.each([
    {
      what: 'more bytes than a batch',
      writes: [write('a', [newEvent('Put', {}, { data: 'x'.repeat(99) })])],
      says: 'its events have 101 bytes, the most is 100',
    },
    {
      what: 'big texts that are too big',
      writes: [write('a', [newEvent('Put')], { blobs: [blobOf('x'.repeat(11))] })],
      says: 'its big texts have 11 bytes, the most is 10',
    },
    {
      what: 'a schema version over 32 bits',
      writes: [write('a', [newEvent('Put', {}, { schema: 2 ** 31 })])],
      says: 'schema version 2147483648',
    },
    {
      what: 'a revision over 62 bits',
      writes: [write('a', [], { expectedRevision: 1n << 62n })],
      says: 'it must be 0 to 2^62',
    },
  ])('refuses $what', ({ writes, says }) => {
    expect(() => checkAppend(writes, limits)).toThrow(`Cannot append: `)
    expect(() => checkAppend(writes, limits)).toThrow(says)
  })

  test('takes bytes as they are now: the caller may use them again', () => {
    const data = Buffer.from('{"n":1}')
    const { writes } = checkAppend([write('a', [newEvent('Put', {}, { data })])], defaultLimits)
    data.fill(0x20)
    expect(Buffer.from(writes[0]?.events[0]?.data ?? []).toString()).toBe('{"n":1}')
  })
})

describe('requestTimeMs()', () => {
  test('is the time that the id was made for', () => {
    for (const time of [0, 1, 1_764_000_000_123, 2 ** 48 - 1]) expect(requestTimeMs(uuidV7(time))).toBe(time)
  })
})

describe('timers', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('Watchdog acts when what was begun last does not end in time', () => {
    const late = vi.fn(ignore)
    const watchdog = new Watchdog(late)
    for (let at = 0; at < 5; at += 1) {
      watchdog.begin(100)
      vi.advanceTimersByTime(90)
      watchdog.end()
    }
    vi.advanceTimersByTime(1_000)
    expect(late).not.toHaveBeenCalled()
    watchdog.begin(100)
    vi.advanceTimersByTime(99)
    expect(late).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(late).toHaveBeenCalledTimes(1)
    watchdog.begin(50)
    vi.advanceTimersByTime(50)
    expect(late).toHaveBeenCalledTimes(2)
    watchdog.begin(50)
    watchdog.stop()
    vi.advanceTimersByTime(1_000)
    expect(late).toHaveBeenCalledTimes(2)
  })

  test('ClockWatch looks by itself, and forgives a clock that drifts', () => {
    let [wallMs, monotonicMs] = [1_000_000, 0]
    const jumps: ClockJump[] = []
    const watch = new ClockWatch({
      nowUs: () => BigInt(wallMs) * 1_000n,
      monotonicMs: () => monotonicMs,
      clockJumpMs: 2_000,
      onJump: (jump) => jumps.push(jump),
    })
    for (let minute = 0; minute < 60; minute += 1) {
      wallMs += 60_000 + 1_500
      monotonicMs += 60_000
      vi.advanceTimersByTime(60_000)
    }
    expect(jumps).toEqual([])
    wallMs -= 1
    vi.advanceTimersByTime(60_000)
    expect(jumps).toEqual([{ oldUs: 4_690_000_000n, newUs: 4_689_999_000n, differenceUs: -1_000n }])
    watch.stop()
    wallMs -= 10_000
    vi.advanceTimersByTime(60_000)
    expect(jumps).toHaveLength(1)
  })
})

describe('WriterStats', () => {
  test('counts what it is told by bounds and reasons', () => {
    const stats = new WriterStats()
    for (const tookMs of [0.5, 0.6, 40_000]) stats.answer(tookMs)
    expect(stats.appendSeconds.counts.slice(0, 2)).toEqual([1, 1])
    expect(stats.appendSeconds.counts.at(-1)).toBe(1)
    expect(stats.appendSeconds.count).toBe(3)
    expect(stats.appendSeconds.sum).toBeCloseTo(40.0011)
    stats.refuse(new WrongExpectedRevisionError('a', 1n, 2n))
    stats.refuse(new Error('a decision of the caller'))
    stats.refuse('anything')
    expect([...stats.refused]).toEqual([
      ['wrong_expected_revision', 1],
      ['decision', 2],
    ])
  })
})
