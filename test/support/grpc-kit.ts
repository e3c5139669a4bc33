import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EventStoreDBClient, type EventType, jsonEvent, type ResolvedEvent } from '@eventstore/db-client'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { GrpcServer, type GrpcServerOptions } from '../../src/grpc/grpc-server.ts'
import { systemClock } from '../../src/util/clock.ts'
import { testHostId } from './log-kit.ts'

/** A gRPC server over a store, in a directory of its own; disposing ends it. */
export interface TestGrpc extends AsyncDisposable {
  readonly server: GrpcServer
  readonly directory: string
  /** The official client, on the UNIX socket. */
  client(settings?: { readonly throwOnAppendFailure?: boolean }): EventStoreDBClient
  /** Faults of the server, which no test expects. */
  readonly faults: readonly unknown[]
}

/** For `expect.poll`: a machine that does other work too is slow, not wrong. */
export const patience = { timeout: 30_000 } as const

/** Serves a store on a UNIX socket, as whoever runs the test. */
export async function serveGrpc(store: EventStore, options: Partial<GrpcServerOptions> = {}): Promise<TestGrpc> {
  const directory = mkdtempSync(join(tmpdir(), 'grpc-'))
  const faults: unknown[] = []
  const clients: EventStoreDBClient[] = []
  const server = new GrpcServer({
    store,
    hostId: testHostId,
    clock: systemClock,
    address: { kind: 'unix', path: join(directory, 'grpc.sock'), mode: 0o600 },
    credentialsPath: join(directory, 'grpc-credentials'),
    certificate: null,
    unixActor: () => ({ uid: 1, gid: 2, pid: 3, program: '/bin/test', address: 'grpc', authentication: 'peer' }),
    log: { internalError: (error) => void faults.push(error), warn: (message) => void faults.push(message) },
    ...options,
  })
  await server.listen()
  return {
    server,
    directory,
    faults,
    client(settings = {}) {
      const client = new EventStoreDBClient({ endpoint: server.target, ...settings }, { insecure: true })
      clients.push(client)
      return client
    },
    async [Symbol.asyncDispose]() {
      // A stream that was left in the middle never ends for the client, which waits for it.
      await Promise.race([Promise.all(clients.map((client) => client.dispose())), sleep(500)])
      await server.close({ graceMs: 200 })
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Events of clients, numbered. */
export function numbered(count: number, type = 'Counted') {
  return Array.from({ length: count }, (_, at) => jsonEvent({ type, data: { at } }))
}

/** What was read, as a list. */
export async function collectEvents<E extends EventType>(
  events: AsyncIterable<ResolvedEvent<E>>,
): Promise<ResolvedEvent<E>[]> {
  return await Array.fromAsync(events)
}
