import { hash } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { eventDocument, tellEvent, whatOf } from '../../src/cli/told-event.ts'
import { decodeFact } from '../../src/events/catalogue.ts'
import type { ReadAllOptions } from '../../src/eventstore/log-reader.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

describe('readStream() and readAll()', () => {
  test('start and end where they are told, in both directions, at any length', async () => {
    await using log = await openLog(await server.createDatabase())
    const count = 2_100 // more than two pages
    for (let at = 0; at < count; at += 700) {
      await log.append([
        write(
          'long',
          Array.from({ length: 700 }, () => newEvent('Put')),
        ),
      ])
    }
    await log.append([write('one', [newEvent('Put')])])
    const last = BigInt(count - 1)
    const rows: readonly [Parameters<typeof log.readStream>, readonly [first: bigint, last: bigint] | null][] = [
      [['nowhere'], null],
      [['nowhere', { direction: 'backwards' }], null],
      [['one'], [0n, 0n]],
      [
        ['one', { direction: 'backwards' }],
        [0n, 0n],
      ],
      [['one', { from: 1n }], null],
      [['long'], [0n, last]],
      [
        ['long', { direction: 'backwards' }],
        [last, 0n],
      ],
      [
        ['long', { from: 999n, maxCount: 2 }],
        [999n, 1_000n],
      ],
      [
        ['long', { from: 1_001n, maxCount: 1_050, direction: 'backwards' }],
        [1_001n, 0n],
      ],
      [
        ['long', { from: 99_999n, maxCount: 3, direction: 'backwards' }],
        [last, last - 2n],
      ],
      [['long', { from: last + 1n }], null],
      [['long', { maxCount: 0 }], null],
    ]
    for (const [args, expected] of rows) {
      const revisions = (await collect(log.readStream(...args))).map(({ revision }) => revision)
      expect([revisions[0], revisions.at(-1)], JSON.stringify(String(args[0]))).toEqual(
        expected ?? [undefined, undefined],
      )
    }
    const head = log.head.position
    expect((await collect(log.readAll())).length).toBe(Number(head + 1n))
    expect((await collect(log.readAll({ direction: 'backwards', maxCount: 1 })))[0]?.position).toBe(head)
    expect(await collect(log.readAll({ from: head + 1n }))).toEqual([])
    expect((await collect(log.readAll({ from: head + 9n, direction: 'backwards' })))[0]?.position).toBe(head)
  })

  test('begin at a time', async () => {
    let clockUs = 0n
    await using log = await openLog(await server.createDatabase(), { nowUs: () => (clockUs += 10n) })
    const stamps: bigint[] = []
    for (let at = 0; at < 5; at += 1) {
      await log.append([write('a', [newEvent('Put'), newEvent('Put')])])
      stamps.push(log.head.recordedAtUs)
    }
    for (const [at, stamp] of stamps.entries()) {
      const first = BigInt(at * 2 + 1)
      expect((await collect(log.readAll({ sinceUs: stamp })))[0]?.position).toBe(first)
      expect((await collect(log.readAll({ sinceUs: stamp + 1n })))[0]?.position).toBe(at === 4 ? undefined : first + 2n)
      expect(await log.positionAt(stamp)).toBe(first + 1n)
    }
    expect(await collect(log.readAll({ sinceUs: 0n }))).toHaveLength(11)
  })

  test('say of an event whose data was erased what its data hashed to', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await log.append([write('a', [newEvent('Put', { secret: 1 }), newEvent('Put', { secret: 2 })])])
    const [, first] = await collect(log.readAll())
    await server.run(
      address.database ?? '',
      `alter table event_0 disable trigger user; update event set data = null, data_hash = sha256(data) where pos = 1`,
    )
    const [erased, kept] = await collect(log.readAll({ from: 1n })) // the table: of a stream the writer itself would know
    const dataHash = hash('sha256', first?.data ?? '', 'buffer')
    expect(erased).toEqual({ ...first, data: Buffer.alloc(0), dataHash })
    expect(kept).not.toHaveProperty('dataHash')
    if (erased === undefined) throw new Error('There is no event')
    expect(whatOf(tellEvent(erased))).toBe('its data was erased')
    expect(eventDocument(tellEvent(erased))).toMatchObject({
      data: null,
      erasedDataSha256: Buffer.from(dataHash).toString('hex'),
    })
    const known = { ...erased, type: 'DaemonStopped' }
    expect(() => decodeFact(known.type, known)).toThrow('its data was erased')
  })

  test('backwards end at a time, and at either end of the log', async () => {
    let clockUs = 0n
    await using log = await openLog(await server.createDatabase(), { nowUs: () => (clockUs += 10n) })
    const stamps: bigint[] = []
    for (let at = 0; at < 4; at += 1) {
      await log.append([write('a', [newEvent('Put'), newEvent('Put')])])
      stamps.push(log.head.recordedAtUs)
    }
    const backwards = async (options: ReadAllOptions) =>
      (await collect(log.readAll({ ...options, direction: 'backwards' }))).map(({ position }) => position)
    for (const [at, stamp] of stamps.entries()) {
      expect((await backwards({ sinceUs: stamp })).at(-1)).toBe(BigInt(at * 2 + 1))
      expect((await backwards({ sinceUs: stamp - 1n })).at(-1)).toBe(BigInt(at * 2 + 1))
    }
    expect(await backwards({ sinceUs: clockUs + 1n })).toEqual([])
    expect(await backwards({ from: 3n, sinceUs: stamps[1] ?? 0n })).toEqual([3n])
    expect(await backwards({ from: -1n })).toEqual([])
    expect(await backwards({ from: 1n << 80n, maxCount: 2 })).toEqual([8n, 7n])
    expect(await collect(log.readAll({ from: 1n << 80n }))).toEqual([])
    expect(await collect(log.readStream('a', { from: 1n << 80n }))).toEqual([])
    expect(await collect(log.readAll({ from: -5n, maxCount: 1 }))).toHaveLength(1)
  })

  test('stop when their signal says so', async () => {
    await using log = await openLog(await server.createDatabase())
    await expect(collect(log.readAll({ signal: AbortSignal.abort(new Error('enough')) }))).rejects.toThrow('enough')
    await log.append([write('a', [newEvent('Put'), newEvent('Put')])])
    const stop = new AbortController()
    const events = log.readAll({ signal: stop.signal })[Symbol.asyncIterator]()
    expect(await events.next()).toMatchObject({ value: { position: 0n } })
    stop.abort(new Error('enough'))
    await expect(events.next()).rejects.toThrow('enough')
  })

  test('give back every byte that was appended', async () => {
    await using log = await openLog(await server.createDatabase())
    const text = fc.string({ unit: 'grapheme', maxLength: 40 })
    const json = fc.oneof(
      fc.json(),
      text.map((value) => JSON.stringify(value)),
      fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }).map((value) => `{"b": 1,"a":"${value}", "a": ${value}}`),
      fc.constantFrom('{"z":1,"a":2}', ' [1.0, 1e400, -0]\n', '"\\u0000\\ud800"', '""'),
    )
    const name = text.filter((value) => value !== '' && !value.includes('\0'))
    const append = fc.array(fc.record({ stream: name, type: name, data: json, meta: json }), {
      minLength: 1,
      maxLength: 20,
    })
    await fc.assert(
      fc.asyncProperty(append, async (events) => {
        const from = log.head.position + 1n
        const writes = events.map(({ stream, ...event }) => write(stream, [newEvent(event.type, {}, event)]))
        await log.append(writes)
        const there = await collect(log.readAll({ from }))
        const back = (bytes: Uint8Array) => Buffer.from(bytes).toString()
        expect(
          there.map(({ stream, type, data, meta }) => ({ stream, type, data: back(data), meta: back(meta) })),
        ).toEqual(events)
        const ids = writes.flatMap((each) => each.events.map(({ eventId }) => eventId))
        expect(there.map(({ eventId }) => eventId)).toEqual(ids)
      }),
      { numRuns: 60 },
    )
  })
})
