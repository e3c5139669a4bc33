import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { AccessDeniedError, EventStoreDBClient } from '@eventstore/db-client'
import { Metadata, status } from '@grpc/grpc-js'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { decodeMetadata } from '../../src/events/metadata.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { credentialsPath, type GrpcUser, writeCredentials } from '../../src/grpc/credentials-file.ts'
import { loopbackCertificate } from '../../src/grpc/loopback-certificate.ts'
import { passwordHash } from '../../src/grpc/password-hash.ts'
import { collectEvents, numbered, serveGrpc, type TestGrpc, patience } from '../support/grpc-kit.ts'
import { openLog } from '../support/log-kit.ts'
import { rawGrpc } from '../support/raw-grpc.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

let postgres: ScratchPostgres
let store: EventStore
let grpc: TestGrpc
let users: readonly GrpcUser[]
const warnings: string[] = []
const directory = mkdtempSync(join(tmpdir(), 'grpc-access-'))
const file = credentialsPath(directory)
const clients: EventStoreDBClient[] = []

beforeAll(async () => {
  postgres = await ScratchPostgres.start()
  store = await openLog(await postgres.createDatabase())
  users = [
    { name: 'wanda', role: 'writer', hash: await passwordHash.make('wanda:s pass') },
    { name: 'rita', role: 'reader', hash: await passwordHash.make('rita-pass') },
  ]
  grpc = await serveGrpc(store, {
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    certificate: loopbackCertificate(directory),
    credentialsPath: file,
    log: {
      internalError: (error) => {
        throw error
      },
      warn: (message) => void warnings.push(message),
    },
  })
})
beforeEach(() => writeCredentials(file, users))
afterAll(async () => {
  for (const client of clients) await client.dispose()
  await grpc[Symbol.asyncDispose]()
  await store.close()
  await postgres[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true, force: true })
})

/** The official client, by the connection string that an operator writes. */
function connectAs(user: string, { scheme = 'esdb', tls = true } = {}): EventStoreDBClient {
  const authority = encodeURIComponent(join(directory, 'grpc-ca.pem'))
  const security = tls ? `tls=true&tlsCAFile=${authority}` : 'tls=false'
  const client = EventStoreDBClient.connectionString(`${scheme}://${user}${grpc.server.target}?${security}`)
  clients.push(client)
  return client
}
const wanda = 'wanda:wanda%3As%20pass@'
const rita = 'rita:rita-pass@'

async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => 'done',
    (error: unknown) => error,
  )
}
const readAs = (client: EventStoreDBClient) => outcomeOf(collectEvents(client.readAll({ maxCount: 1 })))

describe('a port of the loopback interface', () => {
  test('lets a writer append and read, and records who it was', async () => {
    const client = connectAs(wanda)
    await client.appendToStream('w-1', numbered(1))
    expect(await collectEvents(client.readStream('w-1'))).toHaveLength(1)
    const [recorded] = await Array.fromAsync(store.readStream('w-1'))
    expect(decodeMetadata(recorded?.meta ?? new Uint8Array()).actor).toEqual({
      uid: -1,
      gid: -1,
      pid: 0,
      program: 'grpc:wanda',
      address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      authentication: 'basic',
    })
  })

  test('lets a reader read and subscribe, and not append', async () => {
    const client = connectAs(rita)
    expect(await readAs(client)).toBe('done')
    for await (const { event } of client.subscribeToAll()) {
      expect(event?.revision).toBe(0n)
      break
    }
    expect(await outcomeOf(client.appendToStream('r-1', numbered(1)))).toBeInstanceOf(AccessDeniedError)
    expect(await Array.fromAsync(store.readStream('r-1'))).toEqual([])
  })

  const wrong = [
    { who: 'a wrong password', user: 'wanda:wrong@' },
    { who: 'an unknown user', user: 'nobody:wanda-pass@' },
    { who: 'no credentials', user: '' },
    { who: 'the name of those without credentials', user: 'anonymous:x@' },
  ]

  test.each(wrong)('refuses $who', async ({ user }) => {
    const client = connectAs(user)
    const outcome = await readAs(client)
    expect(outcome).toBeInstanceOf(AccessDeniedError)
    expect(outcome).toHaveProperty('code', status.UNAUTHENTICATED)
    expect(await outcomeOf(client.appendToStream('x-1', numbered(1)))).toBeInstanceOf(AccessDeniedError)
    expect(await Array.fromAsync(store.readStream('x-1'))).toEqual([])
  })

  test('takes users and their removal without a restart', async () => {
    const client = connectAs(rita)
    expect(await readAs(client)).toBe('done')
    writeCredentials(file, users.slice(0, 1))
    expect(await readAs(client)).toBeInstanceOf(AccessDeniedError)
    writeCredentials(file, users)
    expect(await readAs(client)).toBe('done')
    rmSync(file)
    expect(await readAs(client)).toBeInstanceOf(AccessDeniedError)
  })

  test('lets callers without credentials in only where the file has them', async () => {
    const client = connectAs('', { tls: false })
    const refused = await readAs(client)
    expect(refused).toBeInstanceOf(AccessDeniedError)
    expect(refused).toHaveProperty('message', expect.stringContaining('tlsCAFile'))
    writeCredentials(file, [...users, { name: 'anonymous', role: 'reader', hash: null }])
    expect(await readAs(client)).toBe('done')
    expect(await outcomeOf(client.appendToStream('x-1', numbered(1)))).toBeInstanceOf(AccessDeniedError)
  })

  test('takes credentials without TLS from clients that send them so', async () => {
    using raw = rawGrpc(grpc.server.target)
    const all = new streams.ReadReq.Options.AllOptions().setStart(new shared.Empty())
    const options = new streams.ReadReq.Options().setAll(all).setCount('1').setNoFilter(new shared.Empty())
    const metadata = new Metadata()
    metadata.set('authorization', `Basic ${Buffer.from('rita:rita-pass').toString('base64')}`)
    expect(await raw.read(new streams.ReadReq().setOptions(options), metadata)).toHaveLength(1)
    metadata.set('authorization', 'Bearer token')
    const refused = raw.read(new streams.ReadReq().setOptions(options), metadata)
    await expect(refused).rejects.toHaveProperty('code', status.UNAUTHENTICATED)
  })

  test('lets nobody in by a file that others could read, and says so', async () => {
    chmodSync(file, 0o644)
    expect(await readAs(connectAs(rita))).toBeInstanceOf(AccessDeniedError)
    expect(warnings.at(-1)).toContain('its mode is 644, it must be 600')
  })

  test('is found by clients that ask the cluster for its members', async () => {
    expect(await readAs(connectAs(rita, { scheme: 'esdb+discover' }))).toBe('done')
  })

  test('answers a client that speaks HTTP/1 by ending its connection', async () => {
    const { port } = new URL(`http://${grpc.server.target}`)
    const socket = connect(Number(port), '127.0.0.1')
    socket.end('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await text(socket).catch(() => '')
    expect(socket.destroyed || socket.readableEnded).toBe(true)
    await expect.poll(() => readAs(connectAs(rita)), patience).toBe('done')
  })
})

describe('loopbackCertificate()', () => {
  test('makes a key that only its owner can read, and keeps what it made', () => {
    const key = join(directory, 'grpc-server-key.pem')
    const before = readFileSync(key)
    expect(statSync(key).mode & 0o777).toBe(0o600)
    expect(loopbackCertificate(directory).key).toEqual(before)
  })
})

describe('a UNIX socket', () => {
  test('is left to its owner, and removed at the end', async () => {
    const unix = await serveGrpc(store)
    const path = unix.server.target.slice('unix:'.length)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    await unix[Symbol.asyncDispose]()
    expect(existsSync(path)).toBe(false)
  })

  test('refuses a path on which another server answers', async () => {
    await using unix = await serveGrpc(store)
    const address = { kind: 'unix', path: unix.server.target.slice('unix:'.length), mode: 0o600 } as const
    await expect(serveGrpc(store, { address })).rejects.toThrow('another process answers there')
    expect(await readAs(unix.client())).toBe('done')
  })
})
