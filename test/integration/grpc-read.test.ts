import {
  BACKWARDS,
  type EventStoreDBClient,
  StreamNotFoundError,
  UnavailableError,
  UnknownError,
} from '@eventstore/db-client'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import { status } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeMetadata } from '../../src/events/metadata.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { unservedCalls } from '../../src/grpc/served-calls.ts'
import { collectEvents, numbered, serveGrpc, type TestGrpc, patience } from '../support/grpc-kit.ts'
import { newEvent, openLog, testHostId, write } from '../support/log-kit.ts'
import { type RawGrpc, rawGrpc } from '../support/raw-grpc.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

const ownMeta = encodeMetadata({
  hostId: testHostId,
  occurredAtUs: 1_700_000_000_123_456n,
  actor: { uid: 0, gid: 0, pid: 7, program: '/usr/bin/virsh', address: 'local', authentication: 'peer' },
  procedure: 'DOMAIN_DEFINE_XML',
  commandId: 'c',
  correlationId: 'r',
  causationId: null,
  capsId: null,
  reason: null,
})

let postgres: ScratchPostgres
let store: EventStore
let grpc: TestGrpc
let client: EventStoreDBClient
let raw: RawGrpc
/** Position 0 is the start of the log; then `a-1` 0 to 9, `domain-1` 0 to 4, `b-1` 0 to 9. */
beforeAll(async () => {
  postgres = await ScratchPostgres.start()
  store = await openLog(await postgres.createDatabase())
  grpc = await serveGrpc(store)
  client = grpc.client()
  raw = rawGrpc(grpc.server.target)
  await client.appendToStream('a-1', numbered(10, 'First'))
  const own = Array.from({ length: 5 }, () => newEvent('DomainStarted', { a: 1 }, { meta: ownMeta }))
  await store.append([write('domain-1', own)])
  await client.appendToStream('b-1', numbered(10, 'Second'))
})
afterAll(async () => {
  expect(grpc.faults).toEqual([])
  raw[Symbol.dispose]()
  await grpc[Symbol.asyncDispose]()
  await store.close()
  await postgres[Symbol.asyncDispose]()
})

/** Numbers from one to another, both included, up or down. */
function range(from: number, to: number): bigint[] {
  const step = from <= to ? 1 : -1
  return Array.from({ length: Math.abs(to - from) + 1 }, (_, at) => BigInt(from + at * step))
}

describe('readStream()', () => {
  const rows = [
    { options: {}, revisions: range(0, 9) },
    { options: { fromRevision: 7n }, revisions: range(7, 9) },
    { options: { fromRevision: 'start', maxCount: 3 }, revisions: range(0, 2) },
    { options: { fromRevision: 10n }, revisions: [] },
    { options: { fromRevision: 2n ** 63n }, revisions: [] },
    { options: { fromRevision: 2n ** 64n - 1n }, revisions: [] },
    { options: { fromRevision: 'end' }, revisions: [] },
    { options: { direction: BACKWARDS, fromRevision: 'end' }, revisions: range(9, 0) },
    { options: { direction: BACKWARDS, fromRevision: 'end', maxCount: 1 }, revisions: [9n] },
    { options: { direction: BACKWARDS, fromRevision: 4n, maxCount: 3 }, revisions: range(4, 2) },
    { options: { direction: BACKWARDS, fromRevision: 100n, maxCount: 2 }, revisions: [9n, 8n] },
    { options: { direction: BACKWARDS, fromRevision: 2n ** 64n - 1n, maxCount: 2 }, revisions: [9n, 8n] },
    { options: { direction: BACKWARDS, fromRevision: 'start' }, revisions: [0n] },
    { options: { maxCount: 0 }, revisions: [] },
  ] as const

  test.each(rows)('with $options gives revisions $revisions', async ({ options, revisions }) => {
    const found = await collectEvents(client.readStream('a-1', options))
    expect(found.map(({ event }) => event?.revision)).toEqual(revisions)
  })

  test('of a stream that does not exist fails with its name', async () => {
    for (const options of [{}, { direction: BACKWARDS, fromRevision: 'end' }, { fromRevision: 7n }] as const) {
      const error = await collectEvents(client.readStream('none-ä', options)).catch((failure: unknown) => failure)
      expect(error).toBeInstanceOf(StreamNotFoundError)
      expect(error).toHaveProperty('streamName', 'none-ä')
    }
  })

  test("shows the daemon's own events with their data, metadata, time and position", async () => {
    const [found] = await collectEvents(client.readStream('domain-1', { fromRevision: 2n, maxCount: 1 }))
    const recorded = (await Array.fromAsync(store.readStream('domain-1', { from: 2n, maxCount: 1 })))[0]
    expect(found).toEqual({
      commitPosition: 13n,
      event: {
        streamId: 'domain-1',
        revision: 2n,
        id: recorded?.eventId,
        type: 'DomainStarted',
        isJson: true,
        data: { a: 1 },
        metadata: JSON.parse(ownMeta),
        created: new Date(Number((recorded?.recordedAtUs ?? 0n) / 1000n)),
        position: { commit: 13n, prepare: 13n },
      },
    })
  })

  test('takes a wish to resolve links, of which there are none', async () => {
    const found = await collectEvents(client.readStream('a-1', { resolveLinkTos: true }))
    expect(found.every(({ link }) => link === undefined)).toBe(true)
    expect(found).toHaveLength(10)
  })
})

describe('readAll()', () => {
  const at = (position: bigint) => ({ commit: position, prepare: position })
  const rows = [
    { options: {}, positions: range(0, 25) },
    { options: { fromPosition: at(23n) }, positions: range(23, 25) },
    { options: { fromPosition: at(26n) }, positions: [] },
    { options: { fromPosition: at(2n ** 64n - 1n) }, positions: [] },
    { options: { fromPosition: 'end' }, positions: [] },
    { options: { maxCount: 4 }, positions: range(0, 3) },
    { options: { direction: BACKWARDS, fromPosition: 'end', maxCount: 3 }, positions: range(25, 23) },
    { options: { direction: BACKWARDS, fromPosition: 'end' }, positions: range(25, 0) },
    { options: { direction: BACKWARDS, fromPosition: 'start' }, positions: [] },
    { options: { direction: BACKWARDS, fromPosition: at(0n) }, positions: [] },
    // As in EventStoreDB, a position read backwards is the end of what is read.
    { options: { direction: BACKWARDS, fromPosition: at(3n) }, positions: range(2, 0) },
    { options: { direction: BACKWARDS, fromPosition: at(2n ** 63n), maxCount: 1 }, positions: [25n] },
  ] as const

  test.each(rows)('with $options gives positions $positions', async ({ options, positions }) => {
    const found = await collectEvents(client.readAll(options))
    expect(found.map(({ event }) => event?.position)).toEqual(positions.map(at))
  })
})

describe('the call Read', () => {
  function request(change: (options: streams.ReadReq.Options) => void): streams.ReadReq {
    const options = new streams.ReadReq.Options()
    options.setCount('1000')
    options.setNoFilter(new shared.Empty())
    change(options)
    return new streams.ReadReq().setOptions(options)
  }
  const everything = () => new streams.ReadReq.Options.AllOptions().setStart(new shared.Empty())
  const expression = () => new streams.ReadReq.Options.FilterOptions.Expression()

  const filters = [
    { on: 'stream', prefixes: ['b-', 'domain-'], regex: '', positions: range(11, 25) },
    { on: 'stream', prefixes: [], regex: '^(a|b)-1$', positions: [...range(1, 10), ...range(16, 25)] },
    { on: 'type', prefixes: ['Sec'], regex: '', positions: range(16, 25) },
    { on: 'type', prefixes: [], regex: 'Started', positions: [0n, ...range(11, 15)] },
    { on: 'type', prefixes: ['Nothing'], regex: '', positions: [] },
  ] as const

  test.each(filters)('filters the log by $on: $prefixes $regex', async ({ on, prefixes, regex, positions }) => {
    const name = expression()
      .setPrefixList([...prefixes])
      .setRegex(regex)
    const filter = new streams.ReadReq.Options.FilterOptions()
    if (on === 'stream') filter.setStreamIdentifier(name)
    else filter.setEventType(name)
    const answers = await raw.read(request((options) => options.setAll(everything()).setFilter(filter)))
    expect(answers.map((answer) => BigInt(answer.getEvent()?.getCommitPosition() ?? -1))).toEqual(positions)
  })

  test('gives ids as two numbers to clients that want them so', async () => {
    const form = new streams.ReadReq.Options.UUIDOption().setStructured(new shared.Empty())
    const [answer] = await raw.read(
      request((options) => options.setAll(everything()).setCount('1').setUuidOption(form)),
    )
    const id = answer?.getEvent()?.getEvent()?.getId()?.getStructured()
    const hex = [id?.getMostSignificantBits(), id?.getLeastSignificantBits()]
      .map((bits) =>
        BigInt.asUintN(64, BigInt(bits ?? 0))
          .toString(16)
          .padStart(16, '0'),
      )
      .join('')
    const [first] = await Array.fromAsync(store.readAll({ maxCount: 1 }))
    expect(hex).toBe(first?.eventId.replaceAll('-', ''))
  })

  test('tells newer clients where stream and log end', async () => {
    const control = new streams.ReadReq.Options.ControlOption().setCompatibility(1)
    const name = new shared.StreamIdentifier().setStreamName(Buffer.from('a-1').toString('base64'))
    const stream = new streams.ReadReq.Options.StreamOptions().setStreamIdentifier(name).setStart(new shared.Empty())
    const ofStream = await raw.read(request((options) => options.setStream(stream).setControlOption(control)))
    expect(ofStream.at(-1)?.getLastStreamPosition()).toBe('9')
    const ofLog = await raw.read(request((options) => options.setAll(everything()).setControlOption(control)))
    expect(ofLog.at(-1)?.getLastAllStreamPosition()?.getCommitPosition()).toBe('25')
  })

  const nonsense = [
    { what: 'no stream', message: request(() => undefined) },
    {
      what: 'a regular expression that must try everything',
      message: request((options) =>
        options
          .setAll(everything())
          .setFilter(
            new streams.ReadReq.Options.FilterOptions().setEventType(expression().setRegex(String.raw`(a+)+\1$`)),
          ),
      ),
    },
    {
      what: 'a stream name that is not UTF-8',
      message: request((options) =>
        options.setStream(
          new streams.ReadReq.Options.StreamOptions().setStreamIdentifier(
            new shared.StreamIdentifier().setStreamName(Buffer.from([0xff]).toString('base64')),
          ),
        ),
      ),
    },
  ]

  test.each(nonsense)('refuses $what', async ({ message }) => {
    await expect(raw.read(message)).rejects.toHaveProperty('code', status.INVALID_ARGUMENT)
  })
})

describe('what is not served', () => {
  const calls = unservedCalls.flatMap(({ service, methods }) => methods.map((method) => `${service}/${method}`))

  test.each(calls)('%s is refused by its name', async (call) => {
    const error = await raw.statusOf(`/${call}`)
    expect(error).toMatchObject({
      code: status.UNIMPLEMENTED,
      details: expect.stringContaining(`${call} is not served`),
    })
  })

  test('a call that the protocol does not have is refused as well', async () => {
    expect(await raw.statusOf('/event_store.client.streams.Streams/Rewrite')).toMatchObject({
      code: status.UNIMPLEMENTED,
    })
  })

  test.each(['Read', 'Append', 'BatchAppend'])('bytes that are no message of %s are refused', async (call) => {
    for (const bytes of [[0xff, 0xff], [0x0a, 0x7f], [], [0x08, 0x01]]) {
      const error = await raw.statusOf(`/event_store.client.streams.Streams/${call}`, Buffer.from(bytes))
      expect({ bytes, code: error?.code }).toEqual({ bytes, code: status.INVALID_ARGUMENT })
    }
  })

  const functions: readonly { readonly name: string; readonly call: () => Promise<unknown> }[] = [
    { name: 'deleteStream', call: () => client.deleteStream('a-1') },
    { name: 'tombstoneStream', call: () => client.tombstoneStream('a-1') },
    { name: 'listProjections', call: () => client.listProjections() },
    { name: 'createProjection', call: () => client.createProjection('p', 'fromAll()') },
    { name: 'deletePersistentSubscriptionToAll', call: () => client.deletePersistentSubscriptionToAll('g') },
    { name: 'deletePersistentSubscriptionToStream', call: () => client.deletePersistentSubscriptionToStream('a', 'g') },
    {
      name: 'subscribeToPersistentSubscriptionToStream',
      call: () => Array.fromAsync(client.subscribeToPersistentSubscriptionToStream('a', 'g')),
    },
  ]

  test.each(functions)('$name() of the official client fails at once', async ({ call }) => {
    const error = await call().catch((failure: unknown) => failure)
    expect(error).toBeInstanceOf(Error)
    expect(error).not.toBeInstanceOf(UnavailableError)
    if (error instanceof UnknownError) expect(error.message).toContain('is not served')
  })
})

describe('a call of a client that stops reading', () => {
  test('ends with it', async () => {
    await client.appendToStream('long-1', numbered(1_000, 'Long'))
    const calls = grpc.server.callCount
    const stream = client.readStream('long-1', {}, { highWaterMark: 1 })
    for await (const { event } of stream) if (event?.revision === 3n) break
    await stream.cancel()
    await expect.poll(() => grpc.server.callCount, patience).toBe(calls)
  })
})
