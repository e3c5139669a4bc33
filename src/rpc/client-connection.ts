import type { Socket } from 'node:net'
import type { Caller } from '../commands/caller.ts'
import { type Message, type MessageHeader, payloadOffset } from '../protocol/message.ts'
import { lookupProcedure } from '../protocol/procedure-table.ts'
import type { Procedure } from '../protocol/procedure.ts'
import { messageStatus, messageType } from '../protocol/programs.ts'
import { decode } from '../xdr/xdr-codec.ts'
import { XdrError } from '../xdr/xdr-error.ts'
import { Fault, isFault } from '../util/fault.ts'
import type { RpcBackend } from './backend.ts'
import type { Call } from './call.ts'
import type { CallTurns } from './call-turns.ts'
import { CallbackRegistry } from './callback-registry.ts'
import type { ConnectionUri } from './connection-uri.ts'
import type { BoundProcedure, Dispatcher } from './dispatcher.ts'
import { notOpenError, wireErrorOf } from './error.ts'
import type { PeerCredentials } from './peer-credentials.ts'
import type { RpcLimits } from './rpc-limits.ts'
import { Transport } from './transport.ts'

/** What a connection needs of its server. */
export interface ConnectionServices {
  readonly backend: RpcBackend
  readonly dispatcher: Dispatcher<Call>
  readonly limits: RpcLimits
  readonly turns: CallTurns
  /** Told of errors that are the daemon's own, with the procedure that met them. */
  onInternalError(error: unknown, procedure: string): void
  onClosed(connection: ClientConnection, reason: string): void
}

/** A call under way. */
interface Asked {
  readonly header: MessageHeader
  readonly procedure: Procedure<unknown, unknown>
  /** Whether it asks for more than to look: then its refusal is recorded. */
  isChange: boolean
}

/** What CONNECT_OPEN settled. */
interface Session {
  readonly uri: ConnectionUri
  readonly readOnly: boolean
}

/** One client: its transport, who it is, what it opened and which events it wants. */
export class ClientConnection {
  readonly peer: PeerCredentials
  readonly transport: Transport
  readonly callbacks: CallbackRegistry
  readonly backend: RpcBackend
  readonly #services: ConnectionServices
  readonly #readOnlySocket: boolean
  readonly #address: string
  #session: Session | null = null

  constructor(
    socket: Socket,
    from: { peer: PeerCredentials; readOnly: boolean; address: string },
    services: ConnectionServices,
  ) {
    this.peer = from.peer
    this.backend = services.backend
    this.#readOnlySocket = from.readOnly
    this.#address = from.address
    this.#services = services
    this.callbacks = new CallbackRegistry(services.limits.maxCallbacks)
    this.transport = new Transport(socket, services.limits, {
      mayBegin: (resume) => services.turns.take(from.peer.uid, resume),
      onCall: (message) => this.#answer(message),
      onClosed: (reason) => services.onClosed(this, reason),
    })
  }

  /** Whether this connection may only read: by its socket or by its flag. Before it is open, by its socket. */
  get readOnly(): boolean {
    return this.#session?.readOnly ?? this.#readOnlySocket
  }

  /** The URI of an open connection; throws before CONNECT_OPEN. */
  get uri(): ConnectionUri {
    if (this.#session === null) throw new Fault('internal', 'the connection is not open')
    return this.#session.uri
  }

  /** Settles what the connection is. A second open is refused: rights and reason must not change under recorded calls. */
  open(uri: ConnectionUri, options: { readonly readOnly: boolean }): void {
    if (this.#session !== null) throw new Fault('internal', 'connection already open')
    this.#session = { uri, readOnly: options.readOnly || this.#readOnlySocket }
  }

  #answer({ header, frame }: Message): void | Promise<void> {
    const refused = this.#refusal(header)
    if (refused !== null) return this.#refuse(header, refused)
    const bound = this.#boundProcedure(header)
    if (bound === null) return undefined
    const { procedure } = bound
    const asked: Asked = { header, procedure, isChange: false }
    try {
      const args = decodeArgs(procedure, frame)
      asked.isChange = procedure.classOf(args) !== 'query'
      const result = bound.handle(this.#call(procedure), args)
      if (result instanceof Promise) return this.#answerLater(asked, result)
      this.transport.reply(header, procedure.result, result)
    } catch (error) {
      return this.#fail(asked, error)
    }
    return undefined
  }

  async #answerLater(asked: Asked, pending: Promise<unknown>): Promise<void> {
    try {
      this.transport.reply(asked.header, asked.procedure.result, await pending)
    } catch (error) {
      await this.#fail(asked, error)
    }
  }

  /** Answers a call by an error before any of its arguments is read. That a reader may not change things is noted. */
  #refuse(header: MessageHeader, refused: Fault | 'not_open'): void | Promise<void> {
    const found = lookupProcedure(header)
    if (found.kind === 'served' && isFault(refused, 'access_denied')) {
      return this.#fail({ header, procedure: found.procedure, isChange: true }, refused)
    }
    this.transport.replyError(header, refused instanceof Fault ? wireErrorOf(refused) : notOpenError())
  }

  /** The handler of a call that was not refused. */
  #boundProcedure(header: MessageHeader): BoundProcedure<Call> | null {
    const found = lookupProcedure(header)
    return found.kind === 'served' ? (this.#services.dispatcher.find(found.procedure) ?? null) : null
  }

  #refusal(header: MessageHeader): Fault | 'not_open' | null {
    if (header.type !== messageType.call && header.type !== messageType.callWithFds) {
      return new Fault('rpc', `unexpected message type ${header.type}`)
    }
    if (header.status !== messageStatus.ok) return new Fault('rpc', `unexpected message status ${header.status}`)
    const found = lookupProcedure(header)
    switch (found.kind) {
      case 'no_program':
        return new Fault('rpc', `Cannot find program ${header.program} version ${header.version}`)
      case 'unknown':
        return new Fault('rpc', `unknown procedure: ${header.procedure}`)
      case 'known':
        return this.#session === null ? 'not_open' : new Fault('no_support', found.name)
      case 'served':
        return this.#refusalOf(found.procedure, header)
    }
  }

  #refusalOf(procedure: Procedure<unknown, unknown>, header: MessageHeader): Fault | 'not_open' | null {
    if (this.#session === null && !procedure.beforeOpen) return 'not_open'
    if (header.type === messageType.callWithFds)
      return new Fault('no_support', `${procedure.name} with file descriptors`)
    if (this.readOnly && !procedure.readOnly) {
      return new Fault('access_denied', `read only access prevents ${procedure.name}`)
    }
    if (this.#services.dispatcher.find(procedure) === undefined) return new Fault('no_support', procedure.name)
    return null
  }

  /** Answers by an error, after the refusal of a change is recorded; of a flood of them it is only counted, at once. */
  #fail({ header, procedure, isChange }: Asked, error: unknown): void | Promise<void> {
    if (isOwnFault(error)) this.#services.onInternalError(error, procedure.name)
    const reply = () => this.transport.replyError(header, wireErrorOf(error))
    const noting =
      isChange && isFault(error) ? this.backend.commands.noteRefusal(this.#caller(procedure.name), error) : undefined
    return noting === undefined ? reply() : noting.then(reply)
  }

  #call(procedure: Procedure<unknown, unknown>): Call {
    const { reads, texts, commands, host, domains } = this.backend
    return { connection: this, reads, texts, commands, host, domains, caller: this.#caller(procedure.name) }
  }

  #caller(procedure: string): Caller {
    const { pid, uid, gid, program } = this.peer
    return {
      actor: { uid, gid, pid, program, address: this.#address, authentication: 'peer' },
      procedure,
      reason: this.#session?.uri.reason ?? null,
      onReady: this.#session?.uri.onReady ?? 'keep',
    }
  }
}

/** The arguments of a call; bytes that are not what the procedure takes are the client's fault. */
function decodeArgs(procedure: Procedure<unknown, unknown>, frame: Buffer): unknown {
  try {
    return decode(procedure.args, frame, payloadOffset)
  } catch (error) {
    if (!(error instanceof XdrError)) throw error
    throw new Fault('rpc', 'Unable to decode message payload', { cause: error, subject: error.message })
  }
}

/** Whether an error says something of the daemon: clients meet `internal` also by what they ask, as with an unknown URI path. */
function isOwnFault(error: unknown): boolean {
  return !(error instanceof Fault) || (error.kind === 'internal' && error.cause !== undefined)
}
