import { randomUUID } from 'node:crypto'
import {
  AccessDeniedError,
  binaryEvent,
  type EventStoreDBClient,
  jsonEvent,
  MaxAppendSizeExceededError,
  UnknownError,
  WrongExpectedVersionError,
} from '@eventstore/db-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeMetadata } from '../../src/events/metadata.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { uuidV7 } from '../../src/util/uuid-v7.ts'
import { collectEvents, numbered, serveGrpc, type TestGrpc } from '../support/grpc-kit.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

let postgres: ScratchPostgres
let store: EventStore
let grpc: TestGrpc
let client: EventStoreDBClient
beforeAll(async () => {
  postgres = await ScratchPostgres.start()
  store = await openLog(await postgres.createDatabase())
  grpc = await serveGrpc(store)
  client = grpc.client()
})
afterAll(async () => {
  expect(grpc.faults).toEqual([])
  await grpc[Symbol.asyncDispose]()
  await store.close()
  await postgres[Symbol.asyncDispose]()
})

/** The client's two ways to append: `BatchAppend`, and `Append` where a call has credentials of its own (not sent without TLS). */
const ways = [
  { way: 'BatchAppend', options: {} },
  { way: 'Append', options: { credentials: { username: 'nobody', password: 'unsent' } } },
] as const

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => null,
    (error: unknown) => error,
  )
}

describe.each(ways)('appendToStream() by $way', ({ way, options }) => {
  const rows = [
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
    { expected: 2n ** 53n + 1n, length: 3, ok: false },
  ] as const

  test.each(rows)('T9: expects $expected of a stream of $length: $ok', async ({ expected, length, ok }) => {
    const stream = `t9-${way}-${expected}-${length}`
    if (length > 0) await client.appendToStream(stream, numbered(length), options)
    const appended = client.appendToStream(stream, numbered(1), { expectedRevision: expected, ...options })
    const current = length === 0 ? null : BigInt(length - 1)
    if (ok) {
      const { nextExpectedRevision, position, success } = await appended
      expect({ nextExpectedRevision, success }).toEqual({ nextExpectedRevision: BigInt(length), success: true })
      const [last] = await collect(store.readStream(stream, { direction: 'backwards', maxCount: 1 }))
      expect(position).toEqual({ commit: last?.position, prepare: last?.position })
      return
    }
    const error = await failureOf(appended)
    expect(error).toBeInstanceOf(WrongExpectedVersionError)
    expect(error).toMatchObject({
      streamName: stream,
      expectedVersion: expected,
      actualVersion: current ?? 'no_stream',
    })
    expect(await collect(store.readStream(stream))).toHaveLength(length)
  })

  test('repeats an append with the same ids and an exact revision as a success, once', async () => {
    const stream = `retry-${way}`
    const events = numbered(3)
    const first = await client.appendToStream(stream, events, { expectedRevision: 'no_stream', ...options })
    const again = await client.appendToStream(stream, events, { expectedRevision: 'no_stream', ...options })
    expect(again).toEqual(first)
    const more = numbered(2)
    const next = await client.appendToStream(stream, more, { expectedRevision: 2n, ...options })
    expect(await client.appendToStream(stream, more, { expectedRevision: 2n, ...options })).toEqual(next)
    expect(await collect(store.readStream(stream))).toHaveLength(5)
  })

  test.each(['any', 'stream_exists'] as const)(
    'repeats an append with revision %s once, by an id of version 7',
    async (expectedRevision) => {
      const stream = `repeat-${way}-${expectedRevision}`
      await client.appendToStream(stream, numbered(1), options)
      const events = [jsonEvent({ id: uuidV7(), type: 'Told', data: {} }), ...numbered(2)]
      const first = await client.appendToStream(stream, events, { expectedRevision, ...options })
      await client.appendToStream(stream, numbered(1), options)
      expect(await client.appendToStream(stream, events, { expectedRevision, ...options })).toEqual(first)
      const old = jsonEvent({ id: uuidV7(Date.UTC(2020, 1, 1)), type: 'Imported', data: {} })
      await client.appendToStream(stream, old, { expectedRevision, ...options })
      expect(await collect(store.readStream(stream))).toHaveLength(6)
      const others = [events[0] ?? old, ...numbered(1)]
      const mixed = await failureOf(client.appendToStream(stream, others, { expectedRevision, ...options }))
      expect(mixed).toHaveProperty('message', expect.stringContaining('with other events'))
    },
  )

  test('appends all events of a call in one commit, in their order', async () => {
    const stream = `together-${way}`
    await client.appendToStream(stream, numbered(900), options)
    const recorded = await collect(store.readStream(stream))
    expect(recorded.map((event) => JSON.parse(Buffer.from(event.data).toString()).at)).toEqual(
      Array.from({ length: 900 }, (_, at) => at),
    )
    expect(new Set(recorded.map((event) => event.commitNo)).size).toBe(1)
  })

  test('answers an append without events with the current revision, and checks what it expects', async () => {
    const stream = `empty-${way}`
    await client.appendToStream(stream, numbered(2), options)
    const { nextExpectedRevision, position } = await client.appendToStream(stream, [], options)
    expect({ nextExpectedRevision, position }).toEqual({ nextExpectedRevision: 1n, position: undefined })
    const wrong = await failureOf(client.appendToStream(stream, [], { expectedRevision: 'no_stream', ...options }))
    expect(wrong).toBeInstanceOf(WrongExpectedVersionError)
  })

  test.each(['domain-1', 'domain', 'node-x', 'emulator-x', 'name-x', 'image-x', 'port-1', 'refusals-0', '$settings'])(
    'refuses the stream "%s" of the daemon or of EventStoreDB',
    async (stream) => {
      const error = await failureOf(client.appendToStream(stream, numbered(1), options))
      expect(error).toBeInstanceOf(AccessDeniedError)
      if (way === 'Append') expect(error).toHaveProperty('message', expect.stringContaining(`"${stream}"`))
    },
  )

  test("refuses an event of the daemon's own types, which read models would take for a fact", async () => {
    const event = jsonEvent({ type: 'DomainDefined', data: {} })
    expect(await failureOf(client.appendToStream('mine-1', event, options))).toBeInstanceOf(AccessDeniedError)
    expect(await collect(store.readStream('mine-1'))).toEqual([])
  })

  test('refuses what is too big, saying what is possible', async () => {
    const big = binaryEvent({ type: 'Big', data: Buffer.alloc(700_000) })
    const two = [big, binaryEvent({ type: 'Big', data: Buffer.alloc(700_000) })]
    const error = await failureOf(client.appendToStream(`big-${way}`, two, options))
    expect(error).toBeInstanceOf(MaxAppendSizeExceededError)
    expect(error).toHaveProperty('maxAppendSize', 1_048_576)
    const many = await failureOf(client.appendToStream(`big-${way}`, numbered(1_001), options))
    expect(many).toBeInstanceOf(MaxAppendSizeExceededError)
    expect(await collect(store.readStream(`big-${way}`))).toEqual([])
    await client.appendToStream(`big-${way}`, big, options)
  })

  test.each([
    { what: 'an id that is no UUID', event: { id: 'nonsense' }, says: 'it must be a UUID' },
    { what: 'a type without a name', event: { type: '' }, says: 'the event type name has 0 bytes' },
    { what: 'a type with a NUL', event: { type: 'a\0b' }, says: 'has a NUL' },
  ])('refuses $what in words', async ({ event, says }) => {
    const error = await failureOf(
      client.appendToStream('odd-1', jsonEvent({ type: 'Odd', data: {}, ...event }), options),
    )
    expect(error).toBeInstanceOf(UnknownError)
    expect(error).toHaveProperty('message', expect.stringContaining(says))
  })

  test('keeps data and metadata byte for byte, whatever they are', async () => {
    const stream = `exact-${way}`
    const big = Buffer.from(Array.from({ length: 200_000 }, (_, at) => (at * 7) % 256))
    const wideJson = { text: 'ä€𝄞\u2028"\\\u0000', big: 'x'.repeat(100_000), number: 1e300, deep: [[[null, false]]] }
    const events = [
      jsonEvent({ type: 'Json', data: { b: 1, a: [1, 2] }, metadata: { $correlationId: 'order-7', who: 'me' } }),
      jsonEvent({ type: 'Json', data: wideJson }),
      jsonEvent({ type: 'Json', data: 'text', metadata: Buffer.from([0xff, 0, 0xfe]) }),
      binaryEvent({ type: 'Binary', data: Buffer.from([0, 1, 0xff, 0xfe, 0]), metadata: { a: 'b\u0000c' } }),
      binaryEvent({ type: 'Binary', data: Buffer.alloc(0) }),
      binaryEvent({ type: 'Binary', data: big, metadata: Buffer.from('\uFEFFnot json') }),
    ]
    await client.appendToStream(stream, events, options)
    const found = (await collectEvents(client.readStream(stream))).map(({ event }) => event)
    expect(found.map((event) => event?.id)).toEqual(events.map((event) => event.id))
    expect(found.map((event) => [event?.type, event?.isJson])).toEqual(
      events.map((event) => [event.type, event.contentType === 'application/json']),
    )
    expect(found.slice(0, 3).map((event) => event?.data)).toEqual([{ b: 1, a: [1, 2] }, wideJson, 'text'])
    expect(found.slice(3).map((event) => Buffer.from(bytesOf(event?.data)))).toEqual([
      Buffer.from([0, 1, 0xff, 0xfe, 0]),
      Buffer.alloc(0),
      big,
    ])
    expect(found[0]?.metadata).toEqual({ $correlationId: 'order-7', who: 'me' })
    expect(found[1]?.metadata).toBeUndefined()
    expect(Buffer.from(bytesOf(found[2]?.metadata))).toEqual(Buffer.from([0xff, 0, 0xfe]))
    expect(found[3]?.metadata).toEqual({ a: 'b\u0000c' })
    expect(Buffer.from(bytesOf(found[5]?.metadata)).toString()).toBe('\uFEFFnot json')
  })

  test('records who appended, with the ids that the client follows', async () => {
    const stream = `who-${way}`
    const metadata = { $correlationId: 'order-8', $causationId: randomUUID(), mine: true }
    await client.appendToStream(
      stream,
      [jsonEvent({ type: 'Told', data: { a: 1 }, metadata }), ...numbered(1)],
      options,
    )
    const [told, plain] = await collect(store.readStream(stream))
    const meta = decodeMetadata(told?.meta ?? new Uint8Array())
    expect(meta).toMatchObject({
      actor: { uid: 1, gid: 2, pid: 3, program: '/bin/test', authentication: 'peer' },
      procedure: 'GRPC_APPEND',
      correlationId: 'order-8',
      causationId: metadata.$causationId,
    })
    const other = decodeMetadata(plain?.meta ?? new Uint8Array())
    expect(other).toMatchObject({ commandId: meta.commandId, correlationId: meta.commandId, causationId: null })
    expect(Buffer.from(told?.data ?? []).toString()).toBe('{"a":1}')
  })
})

describe('appendToStream()', () => {
  test('resolves with success false where the client asked not to throw', async () => {
    const quiet = grpc.client({ throwOnAppendFailure: false })
    const credentials = { username: 'nobody', password: 'unsent' }
    await quiet.appendToStream('quiet-1', numbered(4))
    const answer = await quiet.appendToStream('quiet-1', numbered(1), { expectedRevision: 9n, credentials })
    expect(answer).toEqual({ success: false, nextExpectedRevision: 3n, position: undefined })
    expect(await quiet.appendToStream('quiet-1', numbered(1), { expectedRevision: 9n })).toHaveProperty(
      'success',
      false,
    )
  })

  test('T8: takes many clients that append to one stream with any revision, losing none', async () => {
    const clients = Array.from({ length: 8 }, () => grpc.client())
    const results = await Promise.all(
      clients.flatMap((each) => Array.from({ length: 40 }, () => each.appendToStream('shared-1', numbered(1)))),
    )
    const revisions = results.map(({ nextExpectedRevision }) => Number(nextExpectedRevision)).sort((a, b) => a - b)
    expect(revisions).toEqual(Array.from({ length: 320 }, (_, at) => at))
  })

  test('keeps the order of appends that one client makes without waiting', async () => {
    await Promise.all(
      Array.from({ length: 200 }, (_, at) => client.appendToStream('order-1', numbered(1, `Step${at}`))),
    )
    const types = (await collect(store.readStream('order-1'))).map((event) => event.type)
    expect(types).toEqual(Array.from({ length: 200 }, (_, at) => `Step${at}`))
  })

  test('takes an append that comes in many parts', async () => {
    const events = Array.from({ length: 50 }, () => jsonEvent({ type: 'Part', data: { text: 'x'.repeat(2_000) } }))
    await client.appendToStream('parts-1', events, { batchAppendSize: 5_000 })
    const recorded = await collect(store.readStream('parts-1'))
    expect(recorded.map((event) => event.eventId)).toEqual(events.map((event) => event.id))
    expect(new Set(recorded.map((event) => event.commitNo)).size).toBe(1)
  })

  test('setStreamMetadata() is refused in words, getStreamMetadata() finds none', async () => {
    await client.appendToStream('meta-1', numbered(1))
    const error = await failureOf(client.setStreamMetadata('meta-1', { maxCount: 1 }))
    expect(error).toHaveProperty('message', expect.stringContaining('metadata of streams is not served'))
    expect(await client.getStreamMetadata('meta-1')).toEqual({ streamName: 'meta-1' })
  })

  test('shows events that a program of this host appended with its own metadata', async () => {
    await store.append([write('local-1', [newEvent('Local', { a: 1n }, { meta: '{"by":"hand"}' })])])
    const [found] = await collectEvents(client.readStream('local-1'))
    expect(found?.event).toMatchObject({ type: 'Local', data: { a: '1' }, metadata: { by: 'hand' }, isJson: true })
  })
})

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw new Error('These are no bytes')
}
