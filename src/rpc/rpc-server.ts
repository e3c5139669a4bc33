import { chmodSync, chownSync, lstatSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Fault } from '../util/fault.ts'
import type { RpcBackend } from './backend.ts'
import type { Call } from './call.ts'
import { CallTurns } from './call-turns.ts'
import { ClientConnection, type ConnectionServices } from './client-connection.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { DomainCallback } from './domain-callback.ts'
import { peerCredentials } from './peer-credentials.ts'
import { defaultRpcLimits, type RpcLimits } from './rpc-limits.ts'
import { sendCallback } from './send-callback.ts'

/** `sun_path` holds 108 bytes, the last one a NUL. */
const maxSocketPathBytes = 107

/** One socket to listen on. */
export interface RpcSocket {
  readonly path: string
  /** Connections through it may only read, whatever they ask for. */
  readonly readOnly: boolean
  /** Permission bits, for example 0o770. */
  readonly mode: number
  /** Owner group; absent: that of the process. */
  readonly gid?: number
}

/** Happenings that the owner may log. */
export interface RpcServerLog {
  /** The daemon's own fault met while answering. */
  internalError(error: unknown, procedure: string): void
  /** A connection that did not end in order. */
  connectionLost(reason: string, peer: { readonly pid: number; readonly program: string }): void
}

/** Everything that a server is made of. */
export interface RpcServerOptions {
  readonly backend: RpcBackend
  readonly dispatcher: Dispatcher<Call>
  readonly sockets: readonly RpcSocket[]
  readonly limits?: Partial<RpcLimits>
  readonly log: RpcServerLog
}

/** Serves libvirt's protocol on UNIX sockets. `listen` first; `close` ends every connection. */
export class RpcServer implements AsyncDisposable {
  readonly #options: RpcServerOptions
  readonly #limits: RpcLimits
  readonly #services: ConnectionServices
  readonly #connections = new Set<ClientConnection>()
  readonly #servers: Server[] = []
  #sweep: NodeJS.Timeout | null = null

  constructor(options: RpcServerOptions) {
    this.#options = options
    this.#limits = { ...defaultRpcLimits, ...options.limits }
    this.#services = {
      backend: options.backend,
      dispatcher: options.dispatcher,
      limits: this.#limits,
      turns: new CallTurns(),
      onInternalError: (error, procedure) => options.log.internalError(error, procedure),
      onClosed: (connection, reason) => this.#closed(connection, reason),
    }
  }

  /** Connections that are open now. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /** Listens on every socket, or on none. A socket that another process answers on is left alone. */
  async listen(): Promise<void> {
    try {
      for (const socket of this.#options.sockets) this.#servers.push(await this.#listenOn(socket))
    } catch (error) {
      await this.close()
      throw error
    }
    const sweepMs = Math.max(10, Math.min(1000, this.#limits.keepaliveIntervalMs / 5))
    this.#sweep = setInterval(() => this.#checkKeepalive(), sweepMs)
    this.#sweep.unref()
  }

  /** Sends an event to every connection that wants it. */
  publish(callback: DomainCallback): void {
    for (const connection of this.#connections) sendCallback(connection, callback)
  }

  /** Stops listening, lets calls under way be answered for `graceMs`, then closes what is left. */
  async close(options: { readonly graceMs?: number } = {}): Promise<void> {
    const stopped = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())))
    const deadline = performance.now() + (options.graceMs ?? 0)
    while (performance.now() < deadline && this.#busy()) await new Promise((resolve) => setTimeout(resolve, 10))
    for (const connection of this.#connections) connection.transport.end()
    const closing = setTimeout(() => {
      for (const connection of this.#connections) connection.transport.close('')
    }, 100)
    await Promise.all(stopped)
    clearTimeout(closing)
    if (this.#sweep !== null) clearInterval(this.#sweep)
    this.#servers.length = 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #busy(): boolean {
    return [...this.#connections].some((connection) => connection.transport.pendingCalls > 0)
  }

  async #listenOn(wanted: RpcSocket): Promise<Server> {
    const { path, mode } = wanted
    const length = Buffer.byteLength(path)
    if (length > maxSocketPathBytes) {
      throw new Fault(
        'system',
        `Cannot listen on ${path}: the path has ${length} bytes, a socket's may have ${maxSocketPathBytes}`,
      )
    }
    if (await isAnswered(path)) throw new Fault('system', `Cannot listen on ${path}: another process answers there`)
    removeDeadSocket(path)
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket, wanted))
    // The path is created inside listen(): it must never be open wider than wanted, not for a moment.
    const umask = process.umask(0o777 & ~mode)
    try {
      const listening = new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ path, backlog: 511 }, resolve)
      })
      process.umask(umask)
      await listening
    } catch (error) {
      throw new Fault('system', `Cannot listen on ${path}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      })
    } finally {
      process.umask(umask)
    }
    server.on('error', (error) => this.#options.log.internalError(error, `listening on ${path}`))
    if (wanted.gid !== undefined) chownSync(path, process.geteuid?.() ?? 0, wanted.gid)
    chmodSync(path, mode)
    return server
  }

  #accept(socket: Socket, from: RpcSocket): void {
    if (this.#connections.size >= this.#limits.maxConnections) {
      socket.destroy()
      return
    }
    try {
      const peer = peerCredentials(socket)
      const { readOnly, path: address } = from
      this.#connections.add(new ClientConnection(socket, { peer, readOnly, address }, this.#services))
    } catch (error) {
      socket.destroy()
      this.#options.log.internalError(error, 'accepting a connection')
    }
  }

  #closed(connection: ClientConnection, reason: string): void {
    this.#connections.delete(connection)
    if (reason !== '') this.#options.log.connectionLost(reason, connection.peer)
  }

  #checkKeepalive(): void {
    const now = performance.now()
    for (const connection of this.#connections) connection.transport.checkKeepalive(now)
  }
}

/** Whether a process accepts connections at a path; a socket left behind by a dead one refuses them. */
async function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
}

/** Removes what a killed daemon left behind, and nothing else. */
function removeDeadSocket(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) throw new Fault('system', `Cannot listen on ${path}: it exists and is not a socket`)
  rmSync(path, { force: true })
}
