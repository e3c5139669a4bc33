import { connect, type Socket } from 'node:net'
import { connectionProcedures } from '../protocol/connection-procedures.ts'
import { FrameAssembler } from '../protocol/frame-assembler.ts'
import { encodeMessage, type Message, payloadOffset, readMessage } from '../protocol/message.ts'
import type { Procedure } from '../protocol/procedure.ts'
import { messageStatus, messageType, programs } from '../protocol/programs.ts'
import { wireError } from '../protocol/wire-error.ts'
import { decode } from '../xdr/xdr-codec.ts'
import { CliError } from './cli-error.ts'
import { type DaemonFile, isRunning, readDaemonFile } from './daemon-file.ts'
import type { Invocation } from './invocation.ts'

/** Longest wait for the answers to quick questions. */
const quickMs = 10_000
/** Longest wait for a change, or for a check of many domains: the daemon has limits of its own. */
const slowMs = 600_000

interface Waiting {
  readonly serial: number
  settle(message: Message): void
  fail(error: Error): void
}

type Program = { readonly number: number; readonly version: number }

/** What a connection asks for by its URI: a reason recorded with every change, what a block job does when it is ready. */
export interface ConnectionWishes {
  readonly reason?: string
  readonly onReady?: 'pivot' | 'keep'
}

/** The daemon's own words for a call that it did not do, with libvirt's error code. */
export class DaemonRefusal extends CliError {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** A conversation with the running daemon over its libvirt socket: one call at a time. */
export class ControlClient implements Disposable {
  readonly daemon: DaemonFile
  readonly #socket: Socket
  readonly #assembler = new FrameAssembler()
  #waiting: Waiting | null = null
  #serial = 0

  private constructor(daemon: DaemonFile, socket: Socket) {
    this.daemon = daemon
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('close', () => this.#waiting?.fail(new CliError('The daemon closed the connection before it answered')))
  }

  /** Connects and opens. Throws {@link CliError} where no daemon answers. */
  static async open(
    config: Pick<Invocation['config'], 'socketDir'>,
    options: ConnectionWishes = {},
  ): Promise<ControlClient> {
    const daemon = runningDaemon(config)
    const client = new ControlClient(daemon, await connectTo(daemon.sockets.readWrite))
    try {
      const { connectOpen } = connectionProcedures
      await client.#call(programs.remote, connectOpen, {
        args: { name: openName(daemon, options), flags: 0 },
        timeoutMs: quickMs,
      })
      return client
    } catch (error) {
      client[Symbol.dispose]()
      throw error
    }
  }

  /** Calls a procedure of the control program. Throws {@link CliError} with the daemon's words. */
  async call<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: Args,
    { quick = false }: { readonly quick?: boolean } = {},
  ): Promise<Result> {
    return await this.#call(programs.control, procedure, { args, timeoutMs: quick ? quickMs : slowMs })
  }

  /** Calls a procedure of libvirt's own interface, as its clients do. Throws {@link CliError} with the daemon's words. */
  async callInterface<Args, Result>(procedure: Procedure<Args, Result>, args: Args): Promise<Result> {
    return await this.#call(programs.remote, procedure, { args, timeoutMs: slowMs })
  }

  [Symbol.dispose](): void {
    this.#waiting = null
    this.#socket.destroy()
  }

  async #call<Args, Result>(
    program: Program,
    procedure: Procedure<Args, Result>,
    { args, timeoutMs }: { readonly args: Args; readonly timeoutMs: number },
  ): Promise<Result> {
    const serial = this.#serial++
    const { promise, resolve, reject } = Promise.withResolvers<Message>()
    const timer = setTimeout(
      () =>
        reject(
          new CliError(
            `The daemon (process ${this.daemon.pid}) has not answered ${procedure.name} for ${timeoutMs / 1000} s`,
          ),
        ),
      timeoutMs,
    )
    this.#waiting = { serial, settle: resolve, fail: reject }
    const { number, version } = program
    const header = {
      program: number,
      version,
      procedure: procedure.number,
      serial,
      type: messageType.call,
      status: messageStatus.ok,
    }
    this.#socket.write(encodeMessage(header, procedure.args, args))
    try {
      const { frame, header: answered } = await promise
      if (answered.status === messageStatus.error) {
        const { code, message } = decode(wireError, frame, payloadOffset)
        throw new DaemonRefusal(code, message ?? `The daemon refused ${procedure.name}`)
      }
      return decode(procedure.result, frame, payloadOffset)
    } finally {
      clearTimeout(timer)
      this.#waiting = null
    }
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#assembler.push(chunk)) {
        const message = readMessage(frame)
        const answers = message.header.type === messageType.reply && message.header.serial === this.#waiting?.serial
        if (answers) this.#waiting?.settle(message)
      }
    } catch (error) {
      this.#waiting?.fail(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

/** The daemon that runs in the socket directory. Throws {@link CliError} where there is none. */
export function runningDaemon({ socketDir }: Pick<Invocation['config'], 'socketDir'>): DaemonFile {
  const daemon = readDaemonFile(socketDir)
  if (daemon === null) {
    throw new CliError(`Cannot find a daemon: "${socketDir}" has no daemon.json; start one, or name its --socket-dir`)
  }
  if (isRunning(daemon)) return daemon
  throw new CliError(
    `Cannot ask the daemon: process ${daemon.pid}, started ${daemon.startedAt}, has ended; start it again`,
  )
}

function openName({ uri }: DaemonFile, { reason, onReady }: ConnectionWishes): string {
  // The daemon gets what libvirt's client sends it: the URI without transport and socket.
  const name = uri.replace(/\+unix:/, ':').replace(/\?.*$/, '')
  const wishes = Object.entries({ reason, 'on-ready': onReady })
  const parameters = wishes.flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${encodeURIComponent(value)}`],
  )
  return parameters.length === 0 ? name : `${name}?${parameters.join('&')}`
}

async function connectTo(path: string): Promise<Socket> {
  const socket = connect(path)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  socket.once('connect', resolve)
  socket.once('error', (error) =>
    reject(new CliError(`Cannot reach the daemon at "${path}": ${error.message}`, { cause: error })),
  )
  await promise
  socket.on('error', () => undefined) // followed by close, which the call that waits hears of
  return socket
}
