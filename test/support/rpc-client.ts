import { connect, type Socket } from 'node:net'
import { FrameAssembler } from '../../src/protocol/frame-assembler.ts'
import { encodeKeepalive, encodeMessage, type Message, payloadOffset, readMessage } from '../../src/protocol/message.ts'
import { remoteProcedures } from '../../src/protocol/procedure-table.ts'
import type { ArgsOf, Procedure, ResultOf } from '../../src/protocol/procedure.ts'
import { keepaliveProcedure, messageStatus, messageType, programs } from '../../src/protocol/programs.ts'
import { type WireError, wireError } from '../../src/protocol/wire-error.ts'
import { decode } from '../../src/xdr/xdr-codec.ts'
import { nothing } from '../../src/xdr/xdr-composites.ts'

/** The error reply to a call. */
export class RpcCallError extends Error {
  override readonly name = 'RpcCallError'
  readonly error: WireError

  constructor(error: WireError) {
    super(error.message ?? '')
    this.error = error
  }
}

const ownProgram: { readonly number: number; readonly version: number } = programs.remote

interface Waiting {
  readonly settle: (message: Message) => void
  readonly fail: (error: Error) => void
}

/** The other end of the wire, for tests: calls by the procedure table, raw frames, and whatever the server sends by itself. */
export class RpcClient implements AsyncDisposable {
  readonly #socket: Socket
  readonly #assembler = new FrameAssembler()
  readonly #waiting = new Map<number, Waiting>()
  readonly #closed: Promise<void>
  #serial = 0
  /** Events, newest last. */
  readonly events: Message[] = []
  /** Keepalive messages received, by procedure number. */
  readonly keepalives: number[] = []
  /** Replies to no call of `call` or `callRaw`. */
  readonly strays: Message[] = []
  answersPings = true

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => this.#receive(Buffer.from(chunk)))
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        for (const { fail } of this.#waiting.values()) fail(new Error('the server closed the connection'))
        this.#waiting.clear()
        resolve()
      })
    })
  }

  /** Connects to a socket; nothing is sent yet. */
  static async connect(path: string): Promise<RpcClient> {
    const socket = connect({ path, allowHalfOpen: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RpcClient(socket)
  }

  /** Connects and opens. */
  static async open(path: string, name = 'qemu:///system', flags = 0): Promise<RpcClient> {
    const client = await RpcClient.connect(path)
    await client.call(remoteProcedures.connectOpen, { name, flags })
    return client
  }

  /** Calls a procedure, of libvirt's own program unless another is named; throws RpcCallError for an error reply. */
  async call<P extends Procedure<ArgsOf<P>, ResultOf<P>>>(
    procedure: P,
    args: ArgsOf<P>,
    { number: program, version } = ownProgram,
  ): Promise<ResultOf<P>> {
    const serial = this.#serial++
    const header = {
      program,
      version,
      procedure: procedure.number,
      type: messageType.call,
      serial,
      status: messageStatus.ok,
    }
    const message = await this.send(encodeMessage(header, procedure.args, args), serial)
    return decode(procedure.result, message.frame, payloadOffset)
  }

  /** Calls by number with raw payload bytes; throws RpcCallError for an error reply, else gives the payload. */
  async callRaw(
    procedure: number,
    payload: Buffer = Buffer.alloc(0),
    words: Partial<Message['header']> = {},
  ): Promise<Buffer> {
    const serial = this.#serial++
    const { number: program, version } = programs.remote
    const header = { program, version, procedure, type: messageType.call, serial, status: messageStatus.ok, ...words }
    const frame = Buffer.concat([encodeMessage(header, nothing, {}), payload])
    frame.writeUInt32BE(frame.length, 0)
    return (await this.send(frame, serial)).frame.subarray(payloadOffset)
  }

  /** Sends a whole frame and waits for the reply with its serial. */
  async send(frame: Buffer, serial: number): Promise<Message> {
    const reply = new Promise<Message>((settle, fail) => this.#waiting.set(serial, { settle, fail }))
    this.write(frame)
    const message = await reply
    if (message.header.status === messageStatus.error)
      throw new RpcCallError(decode(wireError, message.frame, payloadOffset))
    return message
  }

  /** Writes bytes as they are. */
  write(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  /** Stops and goes on reading, as a client that hangs. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Sends no more, but reads on. */
  halfClose(): void {
    this.#socket.end()
  }

  ping(): void {
    this.write(encodeKeepalive(keepaliveProcedure.ping))
  }

  /** Resolves when the server has closed the connection. */
  async closed(): Promise<void> {
    await this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    await this.#closed
  }

  #receive(chunk: Buffer): void {
    for (const frame of this.#assembler.push(chunk)) this.#accept(readMessage(frame))
  }

  #accept(message: Message): void {
    const { header } = message
    if (header.program === programs.keepalive.number) {
      this.keepalives.push(header.procedure)
      if (header.procedure === keepaliveProcedure.ping && this.answersPings)
        this.write(encodeKeepalive(keepaliveProcedure.pong))
      return
    }
    if (header.type === messageType.message) {
      this.events.push(message)
      return
    }
    const waiting = this.#waiting.get(header.serial)
    this.#waiting.delete(header.serial)
    if (waiting === undefined) this.strays.push(message)
    else waiting.settle(message)
  }
}
