import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDispatcher } from '../../src/rpc/all-handlers.ts'
import { RpcServer } from '../../src/rpc/rpc-server.ts'
import type { RpcLimits } from '../../src/rpc/rpc-limits.ts'
import { MemoryBackend } from './memory-backend.ts'

/** A real server on real sockets over a backend in memory. */
export interface MemoryServer extends AsyncDisposable {
  readonly memory: MemoryBackend
  readonly server: RpcServer
  readonly path: string
  readonly readOnlyPath: string
  readonly lost: string[]
  readonly internalErrors: unknown[]
}

/** Starts a server in a directory of its own; disposing removes both. */
export async function startMemoryServer(limits: Partial<RpcLimits> = {}): Promise<MemoryServer> {
  const directory = mkdtempSync(join(tmpdir(), 'rpc-'))
  const path = join(directory, 'libvirt-sock')
  const readOnlyPath = join(directory, 'libvirt-sock-ro')
  const memory = new MemoryBackend()
  const lost: string[] = []
  const internalErrors: unknown[] = []
  const server = new RpcServer({
    backend: memory.backend(),
    dispatcher: createDispatcher(),
    sockets: [
      { path, readOnly: false, mode: 0o770 },
      { path: readOnlyPath, readOnly: true, mode: 0o777 },
    ],
    limits,
    log: {
      internalError: (error) => internalErrors.push(error),
      connectionLost: (reason) => lost.push(reason),
    },
  })
  await server.listen()
  return {
    memory,
    server,
    path,
    readOnlyPath,
    lost,
    internalErrors,
    async [Symbol.asyncDispose]() {
      await server.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
