import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AccessDeniedError,
  EventStoreDBClient,
  eventTypeFilter,
  jsonEvent,
  type Position,
  type ReadPosition,
  START,
  streamNameFilter,
} from '@eventstore/db-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError, readConfig } from '../../src/config.ts'
import { collectEvents, numbered, patience } from '../support/grpc-kit.ts'
import { type RunningDaemon, startDaemon } from '../support/running-daemon.ts'

describe('chronovisor daemon --grpc', () => {
  let daemon: RunningDaemon
  const clients: EventStoreDBClient[] = []
  beforeAll(async () => {
    daemon = await startDaemon({ driver: 'test', flags: ['--grpc', '127.0.0.1:0'] })
  })
  afterAll(async () => {
    for (const client of clients) await client.dispose()
    await daemon[Symbol.asyncDispose]()
  })

  async function addUser(name: string, role: string): Promise<EventStoreDBClient> {
    const added = await daemon.cli('grpc-user', 'add', name, '--role', role, '--json')
    const { password }: { readonly password: string } = JSON.parse(added.out)
    return connectAs(`${name}:${password}@`)
  }

  function connectAs(user: string): EventStoreDBClient {
    const authority = encodeURIComponent(join(daemon.stateDir, 'grpc-ca.pem'))
    const target = daemon.file().grpc ?? ''
    const client = EventStoreDBClient.connectionString(`esdb://${user}${target}?tls=true&tlsCAFile=${authority}`)
    clients.push(client)
    return client
  }

  test("serves the daemon's own events to readers, and takes events of writers beside them", async () => {
    const writer = await addUser('wanda', 'writer')
    const reader = await addUser('rita', 'reader')
    const subscription = reader.subscribeToAll({ filter: streamNameFilter({ prefixes: ['node-', 'order-'] }) })
    const told: (string | undefined)[] = []
    subscription.on('data', ({ event }) => told.push(event?.type))
    await writer.appendToStream('order-1', [jsonEvent({ type: 'OrderPlaced', data: { total: 7 } }), ...numbered(1)])
    await expect.poll(() => told.slice(-2), patience).toEqual(['OrderPlaced', 'Counted'])
    expect(told[0]).toBe('DaemonStarted')
    await subscription.unsubscribe()
    const node = `node-${(await collectEvents(reader.readAll({ maxCount: 1 })))[0]?.event?.streamId.slice('node-'.length)}`
    await expect(writer.appendToStream(node, numbered(1))).rejects.toBeInstanceOf(AccessDeniedError)
    await expect(reader.appendToStream('order-1', numbered(1))).rejects.toBeInstanceOf(AccessDeniedError)
  })

  test('leaves a log that every command of the daemon reads', async () => {
    const told = await daemon.cli('log', 'order-1', '--json')
    expect(told.out).toContain('"OrderPlaced"')
    expect(told.out).toContain('"grpc:wanda"')
    for (const command of [['log'], ['check', '--all'], ['replay', '--check'], ['grpc-user', 'list']]) {
      const { status, out, err } = await daemon.cli(...command)
      expect({ command, status, out, err }).toMatchObject({ status: 0 })
    }
  })

  test('tells subscribers of its end, and the rest after its next start', async () => {
    const reader = await addUser('anna', 'reader')
    const filter = eventTypeFilter({ regex: '^Daemon' })
    const told: { readonly type: string; readonly position: Position }[] = []
    const follow = (client: EventStoreDBClient, fromPosition: ReadPosition) => {
      const subscription = client.subscribeToAll({ fromPosition, filter })
      subscription.on('data', ({ event }) => {
        if (event !== undefined) told.push({ type: event.type, position: event.position })
      })
      return subscription
    }
    const failure = new Promise((resolve) => follow(reader, START).once('error', resolve))
    await expect.poll(() => told.map(({ type }) => type), patience).toEqual(['DaemonStarted'])
    await daemon.stop()
    expect(await failure).toMatchObject({ type: 'unavailable', message: expect.stringContaining('the daemon stops') })
    await daemon.start()
    // The port was chosen anew.
    const again = follow(await addUser('anna', 'reader'), told.at(-1)?.position ?? START)
    const all = ['DaemonStarted', 'DaemonStopped', 'DaemonStarted']
    await expect.poll(() => told.map(({ type }) => type), patience).toEqual(all)
    await again.unsubscribe()
  })

  test('takes its events and users over a restart', async () => {
    const writer = await addUser('wanda', 'writer')
    const found = await collectEvents(writer.readStream('order-1'))
    expect(found.map(({ event }) => event?.data)).toEqual([{ total: 7 }, { at: 0 }])
    const again = await writer.appendToStream('order-1', numbered(1), { expectedRevision: 1n })
    expect(again.nextExpectedRevision).toBe(2n)
  })
})

describe('a daemon with --grpc unix:PATH', () => {
  test('serves whoever may open the socket, and records who that was', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'grpc-unix-'))
    await using daemon = await startDaemon({ driver: 'test', flags: ['--grpc', `unix:${directory}/events`] })
    expect(daemon.file().grpc).toBe(`unix:${directory}/events`)
    const client = new EventStoreDBClient({ endpoint: daemon.file().grpc ?? '' }, { insecure: true })
    await client.appendToStream('order-1', numbered(1))
    await client.dispose()
    const { out } = await daemon.cli('log', 'order-1', '--json')
    expect(out).toContain(`"uid":${process.getuid?.() ?? 0}`)
    expect(out).toContain('"authentication":"peer"')
    rmSync(directory, { recursive: true })
  })
})

describe('readConfig()', () => {
  const rows = [
    { text: 'unix:/run/x/grpc', grpc: { kind: 'unix', path: '/run/x/grpc' } },
    { text: 'unix:///run/x/grpc', grpc: { kind: 'unix', path: '/run/x/grpc' } },
    { text: '127.0.0.1:2113', grpc: { kind: 'tcp', host: '127.0.0.1', port: 2113 } },
    { text: 'localhost:2113', grpc: { kind: 'tcp', host: '127.0.0.1', port: 2113 } },
    { text: '[::1]:0', grpc: { kind: 'tcp', host: '::1', port: 0 } },
    { text: '', grpc: null },
  ] as const

  test.each(rows)('reads --grpc "$text"', ({ text, grpc }) => {
    expect(readConfig({ grpc: text }, {}).grpc).toEqual(grpc)
  })

  test.each([
    '0.0.0.0:2113',
    '192.168.1.1:2113',
    'example.org:1',
    '127.0.0.1',
    '127.0.0.1:65536',
    ':2113',
    'unix:',
    '2113',
  ])('refuses --grpc "%s"', (text) => {
    expect(() => readConfig({ grpc: text }, {})).toThrow(ConfigError)
    expect(() => readConfig({ grpc: text }, {})).toThrow(`Cannot use --grpc "${text}"`)
  })
})
