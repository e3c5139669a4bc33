import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import type { DriverFact, HypervisorJobStatus, ProcessIdentity } from '../driver/driver.ts'
import type { ProcessTable } from '../driver/host-facts.ts'
import { Fault, isFault } from '../util/fault.ts'
import { hypervisorJobStatus } from './job-status.ts'
import type { QmpClient, QmpConnectOptions } from './qmp-client.ts'
import { type QmpEvent, parseQmpValue } from './qmp-message.ts'
import type { ProcessEnd } from './spawn-qemu.ts'

/** What a session is about. */
export interface DomainSessionOptions {
  readonly uuid: string
  readonly name: string
  readonly process: ProcessIdentity
  readonly monitorPath: string
  readonly processes: ProcessTable
  /** How the process ended, when this daemon is its parent. */
  readonly ended: Promise<ProcessEnd> | null
  readonly onFact: (fact: DriverFact) => void
  /** Called once, when the process is dead; its end is reported when this has settled. */
  readonly onEnd: (session: DomainSession) => Promise<void>
  /** How long a process may live on without its monitor before that counts as silence. */
  readonly closingMs?: number
  /** Makes a new connection to the monitor after one was lost. */
  readonly connect: (path: string, options: QmpConnectOptions) => Promise<QmpClient>
}

/** Hears of jobs; `onEnd` says that nothing will be heard any more. */
export interface JobListener {
  readonly onChange: (jobId: string, status: HypervisorJobStatus) => void
  readonly onEnd: () => void
}

const shutdownData = v.object({ guest: v.boolean(), reason: v.optional(v.string()) })
const jobData = v.object({ id: v.string(), status: hypervisorJobStatus })
const runStateReply = v.object({ status: v.string(), running: v.boolean() })
const jobsReply = v.array(v.object({ id: v.string(), status: hypervisorJobStatus }))

/** Between two looks at a process whose monitor is gone. */
const watchPauseMs = 500
const defaultClosingMs = 5_000
const reconnectTimeoutMs = 3_000

/** One running domain: its process, its monitor, and what it reports. Reports its end exactly once. */
export class DomainSession {
  readonly options: DomainSessionOptions
  readonly #watching = new AbortController()
  readonly #jobListeners = new Set<JobListener>()
  #graphChange: Promise<void> = Promise.resolve()
  #client: QmpClient | null = null
  #shutdown: { readonly guest: boolean; readonly reason: string } | null = null
  #panicked = false
  #silentSinceMs: number | null = null
  #isOver = false
  #beingDestroyed = false

  constructor(options: DomainSessionOptions) {
    this.options = options
  }

  /** Connection options with which this session hears the monitor's events. */
  connectOptions(signal: AbortSignal): QmpConnectOptions {
    return { signal, onEvent: (event) => this.#onEvent(event) }
  }

  /** Takes a connection made with {@link connectOptions} and watches for its end. */
  attach(client: QmpClient): void {
    this.#client = client
    void client.closed.then((why) => this.#onMonitorClosed(client, why))
  }

  /** Watches a process whose monitor does not answer, and connects as soon as it does; what was missed is then reported as it stands. */
  attachSilent(): void {
    this.#reportSilence(Date.now())
    void this.#watch()
  }

  /** Whether the process is dead or the session was detached. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Whether the monitor is not connected, or did not answer the last time. */
  get isSilent(): boolean {
    return this.#client === null || this.#silentSinceMs !== null
  }

  /** Forgets the connection; the process goes on and nothing is reported any more. */
  detach(): void {
    this.#close()
    this.#client?.close()
  }

  /** From now on the end of the process is somebody's doing and no fact. */
  noteDestroy(): void {
    this.#beingDestroyed = true
  }

  /** A destroy did not succeed: the end is a fact again. */
  noteDestroyFailed(): void {
    this.#beingDestroyed = false
  }

  /** Declares the process dead after a destroy. */
  finish(): void {
    this.#end()
  }

  /** Sends a command. Throws Fault, of which `operation_timeout` says that QEMU is silent (reported once as a fact). */
  async execute(
    command: string,
    args: object,
    options: { readonly signal: AbortSignal; readonly timeoutMs?: number },
  ): Promise<unknown> {
    const client = this.#client
    if (client === null) {
      const { name } = this.options
      throw new Fault(
        'operation_timeout',
        `Cannot carry out monitor command "${command}" for "${name}": its QEMU does not answer`,
      )
    }
    const sentMs = Date.now()
    try {
      const value = await client.execute(command, args, options)
      this.#silentSinceMs = null
      return value
    } catch (error) {
      if (isFault(error, 'operation_timeout')) this.#reportSilence(sentMs)
      throw error
    }
  }

  /** Tells a listener of each change of a job's status, and of the end of the session, until disposed. */
  listen(listener: JobListener): Disposable {
    this.#jobListeners.add(listener)
    if (this.#isOver) listener.onEnd()
    return { [Symbol.dispose]: () => void this.#jobListeners.delete(listener) }
  }

  /** Runs changes of the block graph one after the other: a half-built snapshot looks like nodes that nobody needs. */
  async exclusively<T>(change: () => Promise<T>): Promise<T> {
    const before = this.#graphChange
    const done = Promise.withResolvers<void>()
    this.#graphChange = done.promise
    await before
    try {
      return await change()
    } finally {
      done.resolve()
    }
  }

  #onEvent(event: QmpEvent): void {
    const { uuid, onFact } = this.options
    if (this.#isOver) return
    switch (event.name) {
      case 'STOP':
        return onFact({ kind: 'suspended', uuid })
      case 'RESUME':
        return onFact({ kind: 'resumed', uuid })
      case 'RESET':
        return onFact({ kind: 'reset', uuid })
      case 'GUEST_PANICKED':
        this.#panicked = true
        return onFact({ kind: 'guestPanicked', uuid })
      case 'SHUTDOWN':
        return this.#onShutdown(event.data)
      case 'JOB_STATUS_CHANGE':
        return this.#onJobStatus(event.data)
    }
  }

  #onShutdown(data: unknown): void {
    const parsed = v.safeParse(shutdownData, data)
    const { guest, reason = 'unknown' } = parsed.success ? parsed.output : { guest: false }
    this.#shutdown = { guest, reason }
    if (guest) this.options.onFact({ kind: 'guestShutdown', uuid: this.options.uuid })
  }

  #onJobStatus(data: unknown): void {
    const parsed = v.safeParse(jobData, data)
    if (!parsed.success) return
    const { id: jobId, status } = parsed.output
    for (const listener of this.#jobListeners) listener.onChange(jobId, status)
    this.options.onFact({ kind: 'jobChanged', uuid: this.options.uuid, jobId, status })
  }

  #reportSilence(sinceMs: number): void {
    if (this.#silentSinceMs !== null || this.#isOver) return
    this.#silentSinceMs = sinceMs
    this.options.onFact({ kind: 'monitorSilent', uuid: this.options.uuid, sinceMs })
  }

  async #onMonitorClosed(client: QmpClient, why: Fault | null): Promise<void> {
    if (this.#isOver || this.#client !== client || why === null) return
    this.#client = null
    // A QEMU that ends closes its monitor first, then its images; one that goes on has lost or broken its monitor.
    const until = performance.now() + (this.options.closingMs ?? defaultClosingMs)
    while (performance.now() < until && !this.#watching.signal.aborted) {
      if (!this.options.processes.isAlive(this.options.process)) return this.#end()
      await sleep(10)
    }
    if (this.#isOver) return
    this.#reportSilence(Date.now())
    await this.#watch()
  }

  async #watch(): Promise<void> {
    const { processes, process } = this.options
    while (!this.#isOver) {
      if (!processes.isAlive(process)) return this.#end()
      if (!processes.isStopped(process) && (await this.#reconnect())) return
      await sleep(watchPauseMs, undefined, { signal: this.#watching.signal }).catch(() => undefined)
    }
  }

  async #reconnect(): Promise<boolean> {
    const { monitorPath, connect } = this.options
    const signal = AbortSignal.any([this.#watching.signal, AbortSignal.timeout(reconnectTimeoutMs)])
    try {
      const client = await connect(monitorPath, this.connectOptions(this.#watching.signal))
      if (this.#isOver) {
        client.close()
        return true
      }
      this.attach(client)
      await this.#reportMissed(signal)
      return true
    } catch {
      this.#client?.close()
      this.#client = null
      return false
    }
  }

  // Events sent while nobody listened are gone; the state they led to is not.
  async #reportMissed(signal: AbortSignal): Promise<void> {
    const { uuid, onFact } = this.options
    const state = parseQmpValue(await this.execute('query-status', {}, { signal }), {
      shape: runStateReply,
      of: 'query-status',
    })
    onFact({ kind: state.running ? 'resumed' : 'suspended', uuid })
    const jobs = parseQmpValue(await this.execute('query-jobs', {}, { signal }), { shape: jobsReply, of: 'query-jobs' })
    for (const { id, status } of jobs) this.#onJobStatus({ id, status })
  }

  #end(): void {
    if (this.#isOver) return
    this.#close()
    void this.#reportEnd()
  }

  #close(): void {
    this.#isOver = true
    this.#watching.abort()
    this.#client?.close()
    for (const listener of this.#jobListeners) listener.onEnd()
  }

  async #reportEnd(): Promise<void> {
    const { ended, uuid, onFact, onEnd } = this.options
    // Its parent hears of the end a moment after /proc shows it.
    const end = ended === null ? null : await Promise.race([ended, sleep(1000, null)])
    await onEnd(this)
    if (this.#beingDestroyed) return
    onFact({ kind: 'ended', uuid, ...this.#howItEnded(end) })
  }

  #howItEnded(end: ProcessEnd | null): { readonly how: 'shutdown' | 'crashed' | 'killed'; readonly detail: string } {
    if (this.#panicked) return { how: 'crashed', detail: 'the guest panicked' }
    if (this.#shutdown !== null) {
      const { reason } = this.#shutdown
      return { how: reason.startsWith('host-') ? 'killed' : 'shutdown', detail: `QEMU ended: ${reason}` }
    }
    if (end === null) return { how: 'crashed', detail: 'its process ended without a word' }
    return {
      how: end.signal === 'SIGKILL' || end.signal === 'SIGTERM' ? 'killed' : 'crashed',
      detail: `its process ended with ${end.text}`,
    }
  }
}
