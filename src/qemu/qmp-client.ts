import { connect, type Socket } from 'node:net'
import { Fault } from '../util/fault.ts'
import { abortFault } from '../util/abort-fault.ts'
import { LineSplitter } from './line-splitter.ts'
import { QmpError } from './qmp-error.ts'
import { parseQmpMessage, type QmpAnswer, type QmpEvent, type QmpMessage } from './qmp-message.ts'

/** Bounds of a conversation with a monitor: whatever QEMU does, it costs no more than this. */
export interface QmpLimits {
  readonly maxLineBytes: number
  /** Commands without an answer, those that the caller gave up included. */
  readonly maxPending: number
  readonly greetingTimeoutMs: number
  readonly commandTimeoutMs: number
}

/** Bounds that suit a healthy QEMU; its largest reply, the schema, is well below 1 MB. */
export const defaultQmpLimits: QmpLimits = {
  maxLineBytes: 16 * 1024 * 1024,
  maxPending: 64,
  greetingTimeoutMs: 5_000,
  commandTimeoutMs: 10_000,
}

/** What a connection is made with. */
export interface QmpConnectOptions {
  readonly signal: AbortSignal
  readonly limits?: Partial<QmpLimits>
  /** Called for each event in its order, before the replies that follow it; must not throw. */
  readonly onEvent?: (event: QmpEvent) => void
  /** Sees each command with its answer, as JSON text, in the order of the answers: for recordings. */
  readonly onExchange?: (command: string, answer: string, understood: QmpAnswer) => void
}

/** How a single command is waited for. */
export interface QmpExecuteOptions {
  readonly signal: AbortSignal
  /** Replaces the connection's limit for a command that is known to take long. */
  readonly timeoutMs?: number
}

interface Pending {
  readonly command: string
  /** As it was sent. */
  readonly text: string
  /** Null after the caller gave up: the answer is still to come and is then dropped. */
  settle: ((outcome: { readonly value: unknown } | { readonly error: unknown }) => void) | null
}

// sun_path has 108 bytes, the last one is the terminating NUL.
const maxSocketPathBytes = 107

/** Throws Fault for a socket path that the kernel cannot hold; a longer one would be cut off in silence. */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes <= maxSocketPathBytes) return
  const limit = `at most ${maxSocketPathBytes} are possible`
  throw new Fault('config_unsupported', `Cannot use socket "${path}": the path is ${bytes} bytes long, ${limit}`)
}

/** A conversation with one QEMU over its monitor socket. Commands may overlap; each is bounded in time; the first fault ends it for all. */
export class QmpClient implements AsyncDisposable {
  readonly path: string
  /** Settles when the conversation is over; the value says why, null when we closed it. */
  readonly closed: Promise<Fault | null>
  readonly #socket: Socket
  readonly #limits: QmpLimits
  readonly #lines: LineSplitter
  readonly #options: QmpConnectOptions
  readonly #pending = new Map<string, Pending>()
  readonly #greeting = Promise.withResolvers<string>()
  readonly #closing = Promise.withResolvers<Fault | null>()
  #nextId = 1
  #unsent = ''
  #greetedVersion = ''
  #end: { readonly why: Fault | null } | null = null

  private constructor(path: string, options: QmpConnectOptions) {
    this.path = path
    this.closed = this.#closing.promise
    this.#options = options
    this.#limits = { ...defaultQmpLimits, ...options.limits }
    this.#lines = new LineSplitter(this.#limits.maxLineBytes)
    this.#greeting.promise.catch(() => undefined)
    this.#socket = connect({ path })
    this.#socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    this.#socket.on('error', (cause) => this.#close(this.#fault('operation_failed', cause.message, cause)))
    this.#socket.on('close', () => this.#close(this.#fault('operation_failed', this.#howItEnded())))
  }

  /** Connects, waits for the greeting and leaves negotiation mode. Throws Fault naming the path; nothing stays open then. */
  static async connect(path: string, options: QmpConnectOptions): Promise<QmpClient> {
    checkSocketPath(path)
    const client = new QmpClient(path, options)
    try {
      await client.#waitForGreeting(options.signal)
      await client.execute('qmp_capabilities', {}, { signal: options.signal })
      return client
    } catch (error) {
      client.close()
      throw error
    }
  }

  /** Version that QEMU greeted with, as `7.2.22`. */
  get greetedVersion(): string {
    return this.#greetedVersion
  }

  /** Whether commands can still be sent. */
  get isOpen(): boolean {
    return this.#end === null
  }

  /** Number of commands that QEMU has not answered yet. */
  get pendingCount(): number {
    return this.#pending.size
  }

  /**
   * Sends a command and waits for its answer. Throws QmpError when QEMU refuses it, Fault (`operation_timeout`) when it stays silent, the
   * signal's reason on abort, the reason of the end when the conversation is over. A command given up may still be carried out by QEMU.
   */
  async execute(command: string, args: object, { signal, timeoutMs }: QmpExecuteOptions): Promise<unknown> {
    if (this.#end !== null) throw this.#end.why ?? this.#fault('operation_failed', 'it was closed')
    if (signal.aborted) throw abortFault(signal, `send monitor command "${command}"`)
    if (this.#pending.size >= this.#limits.maxPending) {
      throw this.#fault('operation_timeout', `${this.#pending.size} commands are not answered yet, no more are sent`)
    }
    const id = `chronovisor-${this.#nextId}`
    this.#nextId += 1
    const message =
      Object.keys(args).length === 0 ? { execute: command, id } : { execute: command, arguments: args, id }
    const text = JSON.stringify(message)
    const answer = Promise.withResolvers<unknown>()
    const pending: Pending = {
      command,
      text,
      settle: (outcome) => ('error' in outcome ? answer.reject(outcome.error) : answer.resolve(outcome.value)),
    }
    this.#pending.set(id, pending)
    this.#send(text)
    return await this.#bounded(answer.promise, { pending, signal, limitMs: timeoutMs ?? this.#limits.commandTimeoutMs })
  }

  /** What is asked in one go is written in one go: every write wakes QEMU up. */
  #send(text: string): void {
    if (this.#unsent === '') {
      queueMicrotask(() => {
        const unsent = this.#unsent
        this.#unsent = ''
        if (this.#end === null) this.#socket.write(unsent)
      })
    }
    this.#unsent += `${text}\r\n`
  }

  /** Ends the conversation; QEMU goes on. Commands still waiting fail. */
  close(): void {
    this.#close(null)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.closed
  }

  async #bounded(
    answer: Promise<unknown>,
    { pending, signal, limitMs }: { readonly pending: Pending; readonly signal: AbortSignal; readonly limitMs: number },
  ): Promise<unknown> {
    const giveUp = (error: unknown): void => {
      pending.settle?.({ error })
      pending.settle = null
    }
    const action = `carry out monitor command "${pending.command}"`
    const onAbort = (): void => giveUp(abortFault(signal, action))
    const timer = setTimeout(() => {
      const silence = `QEMU at "${this.path}" has not answered within ${limitMs} ms`
      giveUp(new Fault('operation_timeout', `Cannot ${action}: ${silence}`))
    }, limitMs)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await answer
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #waitForGreeting(signal: AbortSignal): Promise<void> {
    const limitMs = this.#limits.greetingTimeoutMs
    const onAbort = (): void => this.#greeting.reject(abortFault(signal, `connect to monitor "${this.path}"`))
    if (signal.aborted) onAbort()
    const timer = setTimeout(() => {
      this.#greeting.reject(this.#fault('operation_timeout', `it sent no greeting within ${limitMs} ms`))
    }, limitMs)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      this.#greetedVersion = await this.#greeting.promise
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  #onData(chunk: Buffer): void {
    if (this.#end !== null) return
    const lines = this.#lines.push(chunk)
    if (lines === null) {
      this.#close(this.#fault('operation_failed', `it sent a message of more than ${this.#limits.maxLineBytes} bytes`))
      return
    }
    for (const line of lines) {
      if (this.#end !== null) return
      this.#onLine(line)
    }
  }

  #onLine(line: string): void {
    let message: QmpMessage
    try {
      message = parseQmpMessage(line)
    } catch (error) {
      this.#close(this.#fault('operation_failed', error instanceof Error ? error.message : String(error), error))
      return
    }
    if (message.kind === 'reply' || message.kind === 'error') {
      this.#onAnswer(message, line)
    } else if (message.kind === 'event') this.#options.onEvent?.(message.event)
    else this.#greeting.resolve(message.versionText)
  }

  #onAnswer(message: QmpAnswer, line: string): void {
    const pending = message.id === null ? undefined : this.#pending.get(message.id)
    if (message.id === null || pending === undefined) {
      const text = message.kind === 'error' ? `error "${message.description}"` : `reply "${message.id}"`
      this.#close(this.#fault('operation_failed', `it sent ${text}, which answers nothing that was asked`))
      return
    }
    this.#pending.delete(message.id)
    this.#options.onExchange?.(pending.text, line, message)
    pending.settle?.(
      message.kind === 'reply' ? { value: message.value } : { error: new QmpError(pending.command, message) },
    )
  }

  #close(why: Fault | null): void {
    if (this.#end !== null) return
    this.#end = { why }
    const error = why ?? this.#fault('operation_failed', 'it was closed')
    this.#greeting.reject(error)
    for (const pending of this.#pending.values()) pending.settle?.({ error })
    this.#pending.clear()
    this.#socket.destroy()
    this.#closing.resolve(why)
  }

  #howItEnded(): string {
    return this.#lines.heldBytes === 0
      ? 'QEMU closed the connection'
      : 'QEMU closed the connection in the middle of a message'
  }

  #fault(kind: 'operation_failed' | 'operation_timeout', why: string, cause?: unknown): Fault {
    return new Fault(kind, `Cannot use monitor "${this.path}": ${why}`, { cause })
  }
}
