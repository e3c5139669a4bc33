import { type handleBidiStreamingCall, type Metadata, status } from '@grpc/grpc-js'
import type { Readable } from 'node:stream'
import type { Authenticator } from './authenticator.ts'
import type { ConnectionPeer } from './call-peer.ts'
import { CallRefusedError } from './call-refused-error.ts'
import type { CallContext, CallServices } from './call-services.ts'
import { codeOf, statusOf } from './error-status.ts'
import { MalformedMessageError } from './message-codec.ts'

/** Sends one answer; waits while the client does not take what was sent before. */
export type Send = (message: Buffer) => Promise<void> | void

/** What calls run with. */
export interface CallRunnerParts {
  readonly services: CallServices
  readonly authenticator: Authenticator
  /** The other end of a connection, by the name that the library has for it. */
  peerOf(name: string): ConnectionPeer | undefined
  /** Is told of every fault of this program, with the name of the call. */
  internalError(error: unknown, path: string): void
}

interface OpenCall {
  readonly metadata: Metadata
  getPeer(): string
  getPath(): string
  once(event: 'cancelled', listener: () => void): unknown
}

interface Outlet {
  write(message: Buffer): boolean
  once(event: 'drain', listener: () => void): unknown
  off(event: 'drain', listener: () => void): unknown
}

/** Runs calls: who makes them, what ends them early, and how their failures are told. */
export class CallRunner {
  readonly #parts: CallRunnerParts
  readonly #open = new Set<AbortController>()

  constructor(parts: CallRunnerParts) {
    this.#parts = parts
  }

  /** Calls that are under way. */
  get openCount(): number {
    return this.#open.size
  }

  /** Ends every call, telling clients that they may try again elsewhere or later. */
  endAll(): void {
    const reason = new CallRefusedError(status.UNAVAILABLE, 'The call was ended: the daemon stops')
    for (const controller of this.#open) controller.abort(reason)
  }

  /** A call with one request and any number of answers. Nothing is read of the request until it is known who calls. */
  answering(
    serve: (request: Buffer, context: CallContext) => AsyncIterable<Buffer>,
  ): handleBidiStreamingCall<Buffer, Buffer> {
    return this.conversing(async (requests, context, send) => {
      for await (const answer of serve(await firstOf(requests), context)) {
        const sent = send(answer)
        if (sent !== undefined) await sent
        if (context.signal.aborted) break
      }
      context.signal.throwIfAborted()
    })
  }

  /** A call with any number of requests and one answer. */
  collecting(
    serve: (requests: AsyncIterable<Buffer>, context: CallContext) => Promise<Buffer>,
  ): handleBidiStreamingCall<Buffer, Buffer> {
    return this.conversing(async (requests, context, send) => await send(await serve(requests, context)))
  }

  /** A call with any number of requests and answers. */
  conversing(
    serve: (requests: AsyncIterable<Buffer>, context: CallContext, send: Send) => Promise<void>,
  ): handleBidiStreamingCall<Buffer, Buffer> {
    return (call) => {
      call.setMaxListeners(0) // as many answers may wait as the call has appends under way
      void this.#run(call, (context) => serve(requestsOf(call), context, sender(call, context.signal))).then(
        () => call.end(),
        (error: unknown) => call.emit('error', statusOf(error)),
      )
    }
  }

  async #run<T>(call: OpenCall, serve: (context: CallContext) => Promise<T>): Promise<T> {
    const { services, authenticator } = this.#parts
    const controller = new AbortController()
    const { signal } = controller
    call.once('cancelled', () => controller.abort(new CallRefusedError(status.CANCELLED, 'The call was cancelled')))
    this.#open.add(controller)
    try {
      const connection = this.#parts.peerOf(call.getPeer())
      if (connection === undefined) throw new CallRefusedError(status.UNAVAILABLE, 'The connection has ended')
      const [authorization] = call.metadata.get('authorization')
      const peer = await authenticator.callPeer(authorization?.toString(), connection)
      return await serve({ peer, signal, services })
    } catch (error) {
      // What fails once the call is over fails because of that.
      const cause: unknown = signal.aborted ? signal.reason : error
      if (codeOf(cause) === status.INTERNAL) this.#parts.internalError(cause, call.getPath())
      throw cause
    } finally {
      this.#open.delete(controller)
    }
  }
}

/** Requests one after the other; the call can still be answered when no more of them are read. */
async function* requestsOf(call: Readable): AsyncGenerator<Buffer, void> {
  for await (const request of call.iterator({ destroyOnReturn: false })) {
    if (!Buffer.isBuffer(request)) throw new TypeError('Cannot read a request: it is not bytes')
    yield request
  }
}

async function firstOf(requests: AsyncIterable<Buffer>): Promise<Buffer> {
  for await (const request of requests) return request
  throw new MalformedMessageError('Cannot serve the call: it has no request')
}

/** The client's own pace: nothing more is given out while HTTP/2 holds back what was. */
function sender(outlet: Outlet, signal: AbortSignal): Send {
  return (message) => {
    if (signal.aborted || outlet.write(message)) return
    return new Promise((resolve) => {
      const go = () => {
        outlet.off('drain', go)
        signal.removeEventListener('abort', go)
        resolve()
      }
      outlet.once('drain', go)
      signal.addEventListener('abort', go, { once: true })
    })
  }
}
