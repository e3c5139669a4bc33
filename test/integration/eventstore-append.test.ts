import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  InvalidAppendError,
  LogUnavailableError,
  WrongExpectedRevisionError,
} from '../../src/eventstore/append-errors.ts'
import { blobOf } from '../../src/eventstore/blob-of.ts'
import type { CommitParticipant } from '../../src/eventstore/commit-participant.ts'
import type { ExpectedRevision } from '../../src/eventstore/recorded-event.ts'
import type { StreamFold } from '../../src/eventstore/stream-fold.ts'
import { collect, dataOf, newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

describe('append() with an expected revision', () => {
  const rows: readonly { expected: ExpectedRevision; length: number; ok: boolean }[] = [
    { expected: 'any', length: 0, ok: true },
    { expected: 'any', length: 1, ok: true },
    { expected: 'any', length: 3, ok: true },
    { expected: 'no_stream', length: 0, ok: true },
    { expected: 'no_stream', length: 1, ok: false },
    { expected: 'no_stream', length: 3, ok: false },
    { expected: 'stream_exists', length: 0, ok: false },
    { expected: 'stream_exists', length: 1, ok: true },
    { expected: 'stream_exists', length: 3, ok: true },
    { expected: 0n, length: 0, ok: false },
    { expected: 0n, length: 1, ok: true },
    { expected: 0n, length: 3, ok: false },
    { expected: 2n, length: 1, ok: false },
    { expected: 2n, length: 3, ok: true },
    { expected: 7n, length: 3, ok: false },
  ]

  test('answers every combination of expectation and stream length, with warm and with cold memory', async () => {
    const address = await server.createDatabase()
    {
      await using log = await openLog(address)
      for (const [at, row] of rows.entries()) {
        for (const memory of ['warm', 'cold']) {
          if (row.length > 0) {
            await log.append([
              write(
                `s-${at}-${memory}`,
                Array.from({ length: row.length }, () => newEvent('Put')),
              ),
            ])
          }
        }
      }
      for (const [at, row] of rows.entries()) await checkRow(log, { stream: `s-${at}-warm`, row })
    }
    await using again = await openLog(address)
    for (const [at, row] of rows.entries()) await checkRow(again, { stream: `s-${at}-cold`, row })
  })

  async function checkRow(
    log: Awaited<ReturnType<typeof openLog>>,
    { stream, row }: { stream: string; row: (typeof rows)[number] },
  ): Promise<void> {
    const appended = log.append([write(stream, [newEvent('Put')], { expectedRevision: row.expected })])
    if (row.ok) {
      const result = await appended
      expect(result.events[0]?.revision, `${row.expected} at ${row.length}`).toBe(BigInt(row.length))
      return
    }
    const error = await appended.then(
      () => null,
      (reason: unknown) => reason,
    )
    expect(error, `${row.expected} at ${row.length}`).toBeInstanceOf(WrongExpectedRevisionError)
    expect(error).toMatchObject({
      stream,
      expected: row.expected,
      current: row.length === 0 ? null : BigInt(row.length - 1),
    })
    expect(await collect(log.readStream(stream))).toHaveLength(row.length)
  }

  test('serves 32 writers to one stream with `any` without a failure', async () => {
    await using log = await openLog(await server.createDatabase())
    const before = log.head.commitNo
    await Promise.all(Array.from({ length: 32 }, () => log.append([write('hot', [newEvent('Put')])])))
    const events = await collect(log.readStream('hot'))
    expect(events.map((event) => event.revision)).toEqual(Array.from({ length: 32 }, (_, at) => BigInt(at)))
    expect(log.head.commitNo - before).toBeLessThanOrEqual(2n)
  })
})

describe('append()', () => {
  test('packs what waits into few commits with dense positions, the answers in order', async () => {
    await using log = await openLog(await server.createDatabase())
    const appends = Array.from({ length: 2_500 }, (_, at) =>
      log.append([write(`s-${at % 7}`, [newEvent('Put', { at })])]),
    )
    const results = await Promise.all(appends)
    expect(new Set(results.map((result) => result.commitNo)).size).toBeLessThanOrEqual(4)
    const events = await collect(log.readAll())
    expect(events.map((event) => event.position)).toEqual(events.map((_, at) => BigInt(at)))
    expect(events.slice(1).map(dataOf)).toEqual(results.map((_, at) => ({ at })))
    expect(results.map((result) => result.lastPosition)).toEqual(events.slice(1).map((event) => event.position))
  })

  test('records appends of any length in one commit each, whichever slices they are sent in', async () => {
    await using log = await openLog(await server.createDatabase())
    for (const count of [1, 2, 255, 256, 257, 511, 512, 513, 1_000]) {
      const before = log.head
      const ofStream = (half: number) =>
        Array.from({ length: half }, (_, at) => newEvent('Put', { at, text: 'x'.repeat(at % 5) }))
      const halves = [write('even', ofStream(count >> 1)), write('odd', ofStream(count - (count >> 1)))]
      const { events, commitNo } = await log.append(halves)
      expect([events.length, commitNo]).toEqual([count, before.commitNo + 1n])
      expect(await collect(log.readAll({ from: before.position + 1n }))).toEqual(events)
    }
  })

  test('writes several streams in one commit or none of them', async () => {
    await using log = await openLog(await server.createDatabase())
    await log.append([write('a', [newEvent('Put')])])
    const both = [
      write('b', [newEvent('Put')], { expectedRevision: 'no_stream' }),
      write('a', [newEvent('Put')], { expectedRevision: 3n }),
    ]
    await expect(log.append(both)).rejects.toThrow(
      'Cannot append to stream "a": its last revision is 0, expected was revision 3',
    )
    expect(await collect(log.readStream('b'))).toEqual([])
    const fitting = await log.append([
      both[0] ?? write('x', []),
      write('a', [newEvent('Put')], { expectedRevision: 0n }),
    ])
    expect(fitting.events.map((event) => [event.stream, event.revision])).toEqual([
      ['b', 0n],
      ['a', 1n],
    ])
    expect(new Set(fitting.events.map((event) => event.commitNo)).size).toBe(1)
  })

  test('sees the earlier requests of the same batch', async () => {
    await using log = await openLog(await server.createDatabase())
    const [first, second, third] = await Promise.allSettled([
      log.append([write('name-x', [newEvent('Taken')], { expectedRevision: 'no_stream' })]),
      log.append([write('name-x', [newEvent('Taken')], { expectedRevision: 'no_stream' })]),
      log.append([write('name-x', [newEvent('Left')], { expectedRevision: 0n })]),
    ])
    expect([first.status, second.status, third.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await collect(log.readStream('name-x'))).toHaveLength(2)
  })

  test('checks a stream without writing to it', async () => {
    await using log = await openLog(await server.createDatabase())
    const guarded = [write('guard', [], { expectedRevision: 'no_stream' }), write('a', [newEvent('Put')])]
    expect((await log.append(guarded)).events).toHaveLength(1)
    await log.append([write('guard', [newEvent('Put')])])
    await expect(log.append(guarded.with(1, write('a', [newEvent('Put')])))).rejects.toThrow(WrongExpectedRevisionError)
  })

  test('appends a retry once: in the same batch, later, and after a restart', async () => {
    const address = await server.createDatabase()
    const ids = [newEvent('Put'), newEvent('Put'), newEvent('Put')] as const
    const request = [
      write('a', [ids[0], ids[1]], { expectedRevision: 'no_stream' }),
      write('b', [ids[2]], { expectedRevision: 'any' }),
    ]
    const positions = []
    {
      await using log = await openLog(address)
      const results = await Promise.all([log.append(request), log.append(request)])
      positions.push(...results.map((result) => result.events.map((event) => event.position)))
      await log.append([write('a', [newEvent('Put')], { expectedRevision: 1n })])
      positions.push((await log.append(request)).events.map((event) => event.position))
      const other = [write('a', [ids[0], newEvent('Put')], { expectedRevision: 'no_stream' })]
      await expect(log.append(other)).rejects.toThrow(WrongExpectedRevisionError)
      const partly = [...request.slice(0, 1), write('b', [newEvent('Put')])]
      await expect(log.append(partly)).rejects.toThrow(WrongExpectedRevisionError)
    }
    await using again = await openLog(address)
    const retried = await again.append(request)
    positions.push(retried.events.map((event) => event.position))
    expect(positions).toEqual(positions.map(() => [1n, 2n, 3n]))
    expect(await collect(again.readStream('b'))).toHaveLength(1)
  })

  test('refuses what is malformed or too big, and nothing else of the batch', async () => {
    await using log = await openLog(await server.createDatabase())
    const big = 'x'.repeat(60 * 1024 + 1)
    const bad: readonly [Parameters<typeof log.append>[0], RegExp][] = [
      [[write('', [newEvent('Put')])], /stream name has 0 bytes/],
      [[write('a\0', [newEvent('Put')])], /has a NUL/],
      [[write('a', [newEvent('P'.repeat(600))])], /event type name has 600 bytes/],
      [[write('a', [newEvent('Put', {}, { eventId: 'no' })])], /it must be a UUID/],
      [[write('a', [newEvent('Put', {}, { schema: 0 })])], /schema version 0/],
      [[write('a', [newEvent('Put', {}, { data: '"\ud800"' })])], /half a surrogate pair/],
      [[write('a', [newEvent('Put', {}, { data: Uint8Array.of(0xff) })])], /not UTF-8/],
      [[write('a', [newEvent('Put', {}, { meta: Uint8Array.of(0) })])], /has a NUL/],
      [[write('a', [newEvent('Put', {}, { data: big })])], /the most is 61440/],
      [
        [
          write(
            'a',
            Array.from({ length: 1_001 }, () => newEvent('Put')),
          ),
        ],
        /has 1001 events/,
      ],
      [[write('a', [], { expectedRevision: -1n })], /must be 0 to 2\^62/],
      [[write('a', [newEvent('Put')], { blobs: [{ ...blobOf('x'), sha256: blobOf('y').sha256 }] })], /has the SHA-256/],
    ]
    const same = newEvent('Put')
    const outcomes = await Promise.allSettled([
      log.append([write('good', [newEvent('Put')])]),
      ...bad.map(([writes]) => log.append(writes)),
      log.append([write('a', [same, same])]),
      log.append([write('good', [newEvent('Put')])]),
    ])
    expect(outcomes.map((outcome) => outcome.status)).toEqual([
      'fulfilled',
      ...bad.map(() => 'rejected'),
      'rejected',
      'fulfilled',
    ])
    for (const [at, [, message]] of bad.entries()) {
      const outcome = outcomes[at + 1]
      const reason: unknown = outcome?.status === 'rejected' ? outcome.reason : null
      expect(reason).toBeInstanceOf(InvalidAppendError)
      expect(reason).toHaveProperty('message', expect.stringMatching(message))
    }
    expect(await collect(log.readStream('a'))).toEqual([])
  })

  test('keeps the big texts of events by their hash', async () => {
    await using log = await openLog(await server.createDatabase())
    const text = blobOf(`<domain>${'é'.repeat(20_000)}</domain>`)
    const other = blobOf('')
    await log.append([write('a', [newEvent('Put', { xml: text.sha256 })], { blobs: [text, other] })])
    await log.append([write('b', [newEvent('Put', { xml: text.sha256 })], { blobs: [text] })])
    expect(Buffer.from(await log.blobs.read(text.sha256))).toEqual(Buffer.from(text.bytes))
    expect(await log.blobs.read(other.sha256)).toHaveLength(0)
    await expect(log.blobs.read(blobOf('z').sha256)).rejects.toThrow('the log has none of that name')
  })

  test('takes a waiting request back by its signal', async () => {
    await using log = await openLog(await server.createDatabase())
    const controller = new AbortController()
    const first = log.append([write('a', [newEvent('Put')])])
    const second = log.append([write('b', [newEvent('Put')])], { signal: controller.signal })
    controller.abort(new Error('changed my mind'))
    await expect(second).rejects.toThrow('changed my mind')
    await first
    expect(await collect(log.readStream('b'))).toEqual([])
  })

  test('stamps every commit later than the one before, even when the clock steps back', async () => {
    const times = [1_000_000n, 2_000_000n, 1_500_000n, 1_500_000n]
    const nowUs = () => times.shift() ?? 1_000_000n
    await using log = await openLog(await server.createDatabase(), { nowUs })
    for (let at = 0; at < 3; at += 1) await log.append([write('a', [newEvent('Put')])])
    const stamps = (await collect(log.readAll())).map((event) => event.recordedAtUs)
    expect(stamps).toEqual([2_000_000n, 2_000_001n, 2_000_002n, 2_000_003n])
  })
})

describe('append() with a decision', () => {
  const balance: StreamFold<number> = {
    name: 'balance',
    initial: 0,
    evolve: (state, event) => state + Number(Buffer.from(event.data).toString()),
  }
  const withdraw = (amount: number) => ({
    event: newEvent('Moved', {}, { data: String(-amount) }),
    amount,
  })

  test('decides on committed state and this batch: no lost update among 40 at once', async () => {
    const address = await server.createDatabase()
    const outcomes = { ok: 0, refused: 0 }
    for (const round of [0, 1]) {
      await using log = await openLog(address, { limits: { cachedStates: 1, cachedStreams: 1 } })
      if (round === 0) await log.append([write('account-a', [newEvent('Moved', {}, { data: '10' })])])
      const attempts = Array.from({ length: 20 }, () => withdraw(1)).map(({ event, amount }) =>
        log.append((turn) => {
          if (turn.state(balance, 'account-a') < amount) throw new Error('Cannot withdraw: the account is empty')
          return [write('account-a', [event], { expectedRevision: turn.revision('account-a') ?? 'no_stream' })]
        }),
      )
      for (const outcome of await Promise.allSettled(attempts))
        outcomes[outcome.status === 'fulfilled' ? 'ok' : 'refused'] += 1
    }
    expect(outcomes).toEqual({ ok: 10, refused: 30 })
  })

  test('may decide for nothing, on streams that do not exist', async () => {
    await using log = await openLog(await server.createDatabase())
    const before = log.head
    const result = await log.append((turn) => {
      expect(turn.revision('nowhere')).toBeNull()
      expect(turn.state(balance, 'nowhere')).toBe(0)
      expect(turn.nextPosition).toBe(1n)
      return []
    })
    expect(result.events).toEqual([])
    expect(log.head).toEqual(before)
  })
})

describe('append() beside a participant that fails while the events are on their way', () => {
  test('leaves nothing behind, and goes on with the same connection', async () => {
    const address = await server.createDatabase()
    let fails = false
    const seen: string[] = []
    const participant: CommitParticipant = {
      name: 'fragile',
      fence: () => [],
      open: () => Promise.resolve(),
      stage: () => () => undefined,
      statements: () => {
        if (fails) throw new Error('there is no ink')
        return []
      },
      committed: () => seen.push('committed'),
      dropped: () => seen.push('dropped'),
    }
    await using log = await openLog(address, { participants: [participant] })
    await log.append([write('a', [newEvent('Put')])])
    const before = log.head
    const pids = `select pid from pg_stat_activity where application_name = 'chronovisor writer' and datname = '${address.database ?? ''}'`
    const { rows: writer } = await server.run('postgres', pids)
    fails = true
    const failure = await log.append([write('a', [newEvent('Put')])]).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(LogUnavailableError)
    expect(failure).toHaveProperty('message', expect.stringContaining('there is no ink'))
    expect(log.head).toEqual(before)
    fails = false
    await log.append([write('a', [newEvent('Put')])])
    expect((await collect(log.readStream('a'))).map(({ revision }) => revision)).toEqual([0n, 1n])
    expect(seen).toEqual(['committed', 'dropped', 'committed'])
    expect((await server.run('postgres', pids)).rows).toEqual(writer)
    const { rows } = await server.run(address.database ?? '', 'select count(*)::int4 as n from event where pos > 0')
    expect(rows).toEqual([{ n: 2 }])
  })
})
