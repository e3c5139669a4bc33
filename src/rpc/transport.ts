import type { Socket } from 'node:net'
import type { BodyOf, EventMessage } from '../protocol/event-messages.ts'
import { FrameAssembler } from '../protocol/frame-assembler.ts'
import {
  encodeKeepalive,
  encodeMessage,
  FrameError,
  type Message,
  type MessageHeader,
  readMessage,
} from '../protocol/message.ts'
import { keepaliveProcedure, messageStatus, messageType, programs } from '../protocol/programs.ts'
import { wireError, type WireError } from '../protocol/wire-error.ts'
import type { Codec } from '../xdr/xdr-codec.ts'
import type { RpcLimits } from './rpc-limits.ts'

/** What a transport tells its owner. */
export interface TransportEvents {
  /** Whether the next call may begin in this turn of the event loop; where not, `resume` is called when it may. */
  mayBegin(resume: () => void): boolean
  /** A call; a returned promise keeps it in flight until it settles. Must not throw. */
  onCall(message: Message): void | Promise<void>
  /** The connection is gone, once; `reason` is empty after an orderly end. */
  onClosed(reason: string): void
}

const pingFrame = encodeKeepalive(keepaliveProcedure.ping)
const pongFrame = encodeKeepalive(keepaliveProcedure.pong)

/**
 * One client's socket as messages. Calls are handed on as they come, up to a limit in flight; pings are answered at once,
 * whatever waits; a client that does not read is not read from, and closed when too much is unsent.
 */
export class Transport {
  readonly #socket: Socket
  readonly #limits: RpcLimits
  readonly #events: TransportEvents
  readonly #assembler = new FrameAssembler()
  readonly #waiting: Message[] = []
  #waitingBytes = 0
  #inFlight = 0
  #closeReason = ''
  #closed = false
  #ending = false
  #clientDone = false
  #pingsUnanswered = 0
  #lastHeardMs = performance.now()
  #pings = false

  constructor(socket: Socket, limits: RpcLimits, events: TransportEvents) {
    this.#socket = socket
    this.#limits = limits
    this.#events = events
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('drain', () => this.#updateReading())
    socket.on('error', (error) => this.close(error.message))
    socket.on('end', () => this.#clientEnded())
    socket.on('close', () => this.#gone())
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Calls being answered or waiting for it. */
  get pendingCalls(): number {
    return this.#inFlight + this.#waiting.length
  }

  /** From now on silence is answered by pings: the client said that it understands them. */
  enablePings(): void {
    this.#pings = true
  }

  /** To be called regularly, at least once per keepalive interval. */
  checkKeepalive(nowMs: number): void {
    if (!this.#pings || this.#closed || this.#ending) return
    // While calls wait their turn nothing is read, so nothing can be heard.
    if (this.#waiting.length > 0) this.#lastHeardMs = nowMs
    const { keepaliveIntervalMs, keepaliveCount } = this.#limits
    if (nowMs - this.#lastHeardMs < keepaliveIntervalMs * (this.#pingsUnanswered + 1)) return
    if (this.#pingsUnanswered >= keepaliveCount) {
      this.close(`the client answered none of ${keepaliveCount} pings`)
      return
    }
    this.#pingsUnanswered++
    this.#write(pingFrame)
  }

  /** Answers a call. Throws what the codec throws, before anything is sent. */
  reply<T>(call: MessageHeader, codec: Codec<T>, result: T): void {
    this.#write(encodeMessage({ ...call, type: messageType.reply, status: messageStatus.ok }, codec, result))
  }

  /** Answers a call by an error. */
  replyError(call: MessageHeader, error: WireError): void {
    this.#write(encodeMessage({ ...call, type: messageType.reply, status: messageStatus.error }, wireError, error))
  }

  /** Sends an event. */
  send<M extends EventMessage<BodyOf<M>>>(message: M, body: BodyOf<M>): void {
    const { number: program, version } = programs.remote
    const header = {
      program,
      version,
      procedure: message.number,
      type: messageType.message,
      serial: 0,
      status: messageStatus.ok,
    }
    this.#write(encodeMessage(header, message.body, body))
  }

  /** Closes at once; unsent replies are lost. */
  close(reason: string): void {
    if (this.#closed) return
    if (this.#closeReason === '') this.#closeReason = reason
    this.#socket.destroy()
  }

  /** Closes after everything sent has left. */
  end(): void {
    if (this.#closed || this.#ending) return
    this.#ending = true
    this.#socket.end()
    // A client that neither reads nor closes must not hold the socket.
    this.#socket.setTimeout(this.#limits.keepaliveIntervalMs, () => this.close(''))
  }

  #receive(chunk: Buffer): void {
    this.#lastHeardMs = performance.now()
    this.#pingsUnanswered = 0
    try {
      for (const frame of this.#assembler.push(chunk)) {
        this.#accept(readMessage(frame))
        if (this.#closed) return
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.close(error.message)
      return
    }
    this.#updateReading()
  }

  #accept(message: Message): void {
    const { header } = message
    if (header.program === programs.keepalive.number) {
      if (header.procedure === keepaliveProcedure.ping) this.#write(pongFrame)
      return
    }
    // Data of a stream that was never opened, or is closed on this side already: not acknowledged, so not answered.
    if (header.type === messageType.stream || header.type === messageType.streamHole) return
    this.#waiting.push(message)
    this.#waitingBytes += message.frame.length
    this.#beginWaiting()
  }

  /** Begins calls in the order in which they came, as far as the limits let it. */
  #beginWaiting(): void {
    while (!this.#closed && this.#inFlight < this.#limits.maxCallsInFlight && this.#waiting.length > 0) {
      if (!this.#events.mayBegin(this.#resume)) return
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#waitingBytes -= next.frame.length
      this.#begin(next)
    }
  }

  readonly #resume = (): void => {
    this.#beginWaiting()
    this.#settle()
  }

  #begin(message: Message): void {
    const pending = this.#events.onCall(message)
    if (pending === undefined) return
    this.#inFlight++
    void pending.finally(() => this.#finished())
  }

  #finished(): void {
    this.#inFlight--
    this.#beginWaiting()
    this.#settle()
  }

  /** After calls were begun or answered: reads on, or ends where the client is done and everything is answered. */
  #settle(): void {
    if (this.#clientDone && this.pendingCalls === 0) this.end()
    else this.#updateReading()
  }

  #write(frame: Buffer): void {
    if (this.#closed || this.#ending) return
    this.#socket.write(frame)
    if (this.#socket.writableLength <= this.#limits.sendHighWaterBytes) return
    if (this.#socket.writableLength > this.#limits.maxUnsentBytes) {
      this.close(`the client left ${this.#socket.writableLength} bytes unread`)
      return
    }
    this.#updateReading()
  }

  #updateReading(): void {
    const { maxCallsWaiting, maxWaitingBytes, sendHighWaterBytes } = this.#limits
    const busy =
      this.#waiting.length >= maxCallsWaiting ||
      this.#waitingBytes >= maxWaitingBytes ||
      this.#socket.writableLength > sendHighWaterBytes
    if (busy === this.#socket.isPaused()) return
    if (busy) this.#socket.pause()
    else this.#socket.resume()
  }

  /** The client sends no more; what it asked for is still answered. */
  #clientEnded(): void {
    this.#clientDone = true
    if (this.pendingCalls === 0) this.end()
  }

  #gone(): void {
    if (this.#closed) return
    this.#closed = true
    this.#waiting.length = 0
    this.#waitingBytes = 0
    this.#events.onClosed(this.#closeReason)
  }
}
