import { randomUUID } from 'node:crypto'
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ConnectionInjector, Server, ServerCredentials } from '@grpc/grpc-js'
import type { Actor } from '../events/metadata.ts'
import { Authenticator } from './authenticator.ts'
import type { ConnectionPeer } from './call-peer.ts'
import { CallRunner } from './call-runner.ts'
import { type CallServices, defaultGrpcLimits, type GrpcLimits } from './call-services.ts'
import { type GrpcAddress, listenOn } from './grpc-address.ts'
import type { LoopbackCertificate } from './loopback-certificate.ts'
import { serverCalls } from './server-calls.ts'

/** Happenings that the owner may log. */
export interface GrpcServerLog {
  /** A fault of this program met while serving a call. */
  internalError(error: unknown, call: string): void
  warn(message: string): void
}

/** What a server is made of. */
export interface GrpcServerOptions extends Omit<CallServices, 'limits'> {
  readonly address: GrpcAddress
  /** File with the users, see `credentials-file.ts`; over a UNIX socket they are needed only by those who give credentials. */
  readonly credentialsPath: string
  /** For TCP: by which TLS is spoken, on the same port as the plain protocol. */
  readonly certificate: LoopbackCertificate | null
  /** Who is at the other end of a UNIX socket. */
  unixActor(socket: Socket): Actor
  readonly log: GrpcServerLog
  readonly limits?: Partial<GrpcLimits>
}

const keepaliveMs = 10_000
/** A connection without a call is ended after so long; clients connect again by themselves. */
const idleMs = 300_000
const lastWordMs = 50
const pollMs = 5
/** First byte of a TLS connection: a record that holds a handshake. */
const tlsHandshake = 0x16

/** Serves the EventStoreDB protocol on one address. `listen` first; `close` ends every call and connection. */
export class GrpcServer implements AsyncDisposable {
  readonly #options: GrpcServerOptions
  readonly #limits: GrpcLimits
  readonly #server: Server
  readonly #runner: CallRunner
  readonly #plain: ConnectionInjector
  readonly #secure: ConnectionInjector | null
  readonly #peers = new Map<string, ConnectionPeer>()
  readonly #sockets = new Set<Socket>()
  readonly #instanceId = randomUUID()
  #listener: NetServer | null = null
  #unixConnections = 0

  constructor(options: GrpcServerOptions) {
    this.#options = options
    this.#limits = { ...defaultGrpcLimits, ...options.limits }
    const { store, hostId, clock, log, certificate } = options
    this.#runner = new CallRunner({
      services: { store, hostId, clock, limits: this.#limits },
      authenticator: new Authenticator({ path: options.credentialsPath, warn: (message) => log.warn(message) }),
      peerOf: (name) => this.#peers.get(name),
      internalError: (error, path) => log.internalError(error, path),
    })
    this.#server = new Server({
      'grpc.max_receive_message_length': this.#limits.messageBytes,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': this.#limits.callsPerConnection,
      'grpc.max_connection_idle_ms': idleMs,
      'grpc.keepalive_time_ms': keepaliveMs,
      'grpc.keepalive_timeout_ms': keepaliveMs,
      'grpc.enable_channelz': 0,
    })
    const facts = () => ({ instanceId: this.#instanceId, endpoint: this.#endpoint() })
    for (const { definition, implementation } of serverCalls(this.#runner, facts)) {
      this.#server.addService(definition, implementation)
    }
    this.#plain = this.#server.createConnectionInjector(ServerCredentials.createInsecure())
    this.#secure = certificate === null ? null : this.#server.createConnectionInjector(credentialsOf(certificate))
  }

  /** Connections that are open now. */
  get connectionCount(): number {
    return this.#sockets.size
  }

  /** Calls that are under way. */
  get callCount(): number {
    return this.#runner.openCount
  }

  /** Where it listens, as clients write it: `127.0.0.1:2113` or `unix:/path`. */
  get target(): string {
    const { address } = this.#options
    if (address.kind === 'unix') return `unix:${address.path}`
    const { port } = this.#endpoint() ?? address
    return address.host.includes(':') ? `[${address.host}]:${port}` : `${address.host}:${port}`
  }

  /** Starts to accept connections. Throws where the address is taken or cannot be. */
  async listen(): Promise<void> {
    const listener = createServer((socket) => this.#accept(socket))
    listener.maxConnections = this.#limits.connections
    await listenOn(listener, this.#options.address)
    listener.on('error', (error) => this.#options.log.internalError(error, 'listening'))
    this.#listener = listener
  }

  /** Ends every call, waits up to `graceMs` for clients to be told, and closes what is open. */
  async close({ graceMs }: { readonly graceMs: number } = { graceMs: 1_000 }): Promise<void> {
    const deadline = performance.now() + graceMs
    const closed = Promise.withResolvers<void>()
    if (this.#listener === null) closed.resolve()
    else this.#listener.close(() => closed.resolve())
    this.#listener = null
    // What was committed last is still on its way to subscribers.
    await sleep(Math.min(lastWordMs, graceMs))
    this.#runner.endAll()
    while (this.#runner.openCount > 0 && performance.now() < deadline) await sleep(pollMs)
    this.#server.tryShutdown(() => undefined)
    while (this.#sockets.size > 0 && performance.now() < deadline) await sleep(pollMs)
    this.#server.forceShutdown()
    for (const socket of this.#sockets) socket.destroy()
    await closed.promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#sockets.delete(socket))
    try {
      if (this.#options.address.kind === 'unix') this.#acceptUnix(socket)
      else this.#acceptTcp(socket)
    } catch (error) {
      socket.destroy()
      this.#options.log.internalError(error, 'accepting a connection')
    }
  }

  /** The permissions of the socket's file have decided already who gets here. */
  #acceptUnix(socket: Socket): void {
    this.#unixConnections += 1
    const name = `unix ${this.#unixConnections}`
    this.#know(socket, name, { actor: this.#options.unixActor(socket), role: 'writer' })
    // The library names the other end of a call by this; a UNIX socket has none of its own.
    Object.defineProperty(socket, 'remoteAddress', { value: name })
    this.#plain.injectConnection(socket)
  }

  /** Anybody on this machine gets here: calls need credentials. TLS is told from the plain protocol by its first byte. */
  #acceptTcp(socket: Socket): void {
    const { remoteAddress, remotePort } = socket
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy()
      return
    }
    const address = `${remoteAddress}:${remotePort}`
    const actor = { uid: -1, gid: -1, pid: 0, program: 'grpc', address, authentication: 'none' }
    this.#know(socket, address, { actor, role: null })
    const timer = setTimeout(() => socket.destroy(), this.#limits.firstByteMs)
    socket.once('close', () => clearTimeout(timer))
    socket.once('readable', () => {
      clearTimeout(timer)
      const first: unknown = socket.read()
      if (!Buffer.isBuffer(first)) {
        socket.destroy()
        return
      }
      socket.unshift(first)
      const injector = first[0] === tlsHandshake && this.#secure !== null ? this.#secure : this.#plain
      injector.injectConnection(socket)
    })
  }

  #know(socket: Socket, name: string, peer: ConnectionPeer): void {
    this.#peers.set(name, peer)
    socket.once('close', () => this.#peers.delete(name))
  }

  #endpoint(): { readonly address: string; readonly port: number } | null {
    const bound: AddressInfo | string | null = this.#listener?.address() ?? null
    return bound === null || typeof bound === 'string' ? null : { address: bound.address, port: bound.port }
  }
}

function credentialsOf({ key, certificate }: LoopbackCertificate): ServerCredentials {
  return ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: certificate }])
}
