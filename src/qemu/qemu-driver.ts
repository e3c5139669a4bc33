import { rm } from 'node:fs/promises'
import type {
  BlockJobStart,
  Driver,
  DriverFact,
  DomainSample,
  HypervisorChain,
  HypervisorJob,
  Reattached,
  RunningDomain,
  SnapshotDisk,
  StartedDomain,
  StartRequest,
} from '../driver/driver.ts'
import type { EmulatorIdentity, EmulatorProbe, RecordedEmulator, Staleness } from '../driver/emulator-probe.ts'
import type { HostFacts, ProcessTable, ProcessUser } from '../driver/host-facts.ts'
import { abortFault } from '../util/abort-fault.ts'
import { Fault } from '../util/fault.ts'
import { queryDomainChains, removeUnusedNodes } from './block-graph.ts'
import {
  cancelDomainJob,
  completeDomainJob,
  finalizeDomainJob,
  qmpNumber,
  queryDomainJobs,
  startJob,
} from './block-jobs.ts'
import type { DomainSession } from './domain-session.ts'
import { EmulatorDirectories } from './emulator-directories.ts'
import { EmulatorIdentities } from './emulator-identities.ts'
import { defaultEndLimits, type EndLimits, endProcess } from './end-process.ts'
import { FactQueue } from './fact-queue.ts'
import { FileHashes } from './file-hashes.ts'
import { probeEmulator } from './probe-emulator.ts'
import { probeBuild } from './probe-questions.ts'
import { findUnrecordedDomain, reattachDomain } from './reattach-domain.ts'
import { sampleDomain } from './sample-domain.ts'
import { nodeOptionsOfCommandLine, snapshotDomainDisks } from './snapshots.ts'
import { domainDirectory, startDomain } from './start-domain.ts'

/** What the driver is made with; everything it reads of the machine comes through the two ports. */
export interface QemuDriverOptions {
  readonly host: HostFacts
  readonly processes: ProcessTable
  /** User and only group of QEMU processes; null when the daemon is not root: they are then the daemon's own. */
  readonly user: ProcessUser | null
  /** Holds a directory for each running domain; short, because socket paths are. */
  readonly runDirectory: string
  readonly logDirectory: string
  readonly emulatorDirectories?: readonly string[]
  readonly moduleDirectories?: readonly string[]
  /** Version of the daemon: another one judges answers anew. */
  readonly version?: string
  readonly startTimeoutMs?: number
  /** How long a monitor may take to greet when a domain is found again. */
  readonly greetingTimeoutMs?: number
  readonly endLimits?: EndLimits
}

// A probe costs a process and about 0.2 s of a CPU.
const maxProbesAtOnce = 4

/** QEMU domains of this machine. */
export class QemuDriver implements Driver {
  readonly kind = 'qemu'
  readonly build: string
  readonly #options: QemuDriverOptions
  readonly #identities: EmulatorIdentities
  readonly #directories: EmulatorDirectories
  readonly #sessions = new Map<string, DomainSession>()
  readonly #starting = new Set<string>()
  readonly #facts = new FactQueue()
  readonly #waitingProbes: (() => void)[] = []
  #runningProbes = 0

  constructor(options: QemuDriverOptions) {
    this.#options = options
    const { host, moduleDirectories, version } = options
    this.build = version === undefined ? probeBuild : `${version} ${probeBuild}`
    this.#directories = new EmulatorDirectories(options.emulatorDirectories)
    this.#identities = new EmulatorIdentities({
      host,
      hashes: new FileHashes(),
      build: this.build,
      user: options.user ?? { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
      ...(moduleDirectories === undefined ? {} : { moduleDirectories }),
    })
  }

  async listEmulators(): Promise<readonly string[]> {
    return this.#directories.find()
  }

  async probe(binary: string, signal: AbortSignal): Promise<EmulatorProbe> {
    await this.#takeProbeTurn()
    try {
      if (signal.aborted) throw abortFault(signal, `probe emulator "${binary}"`)
      const { user, runDirectory, processes } = this.#options
      return await probeEmulator(binary, { signal, user, runDirectory, processes, identities: this.#identities })
    } finally {
      this.#giveProbeTurn()
    }
  }

  identify(binary: string, recorded: EmulatorIdentity | null = null): EmulatorIdentity | null {
    if (recorded !== null) this.#identities.recall(recorded)
    try {
      return this.#identities.read(binary)
    } catch {
      return null // the probe itself says why
    }
  }

  checkIdentity(binary: string, recorded: EmulatorIdentity): Staleness | null {
    return this.#identities.check(binary, recorded)
  }

  checkIdentities(emulators: readonly RecordedEmulator[]): readonly (Staleness | null)[] {
    return this.#identities.checkAll(emulators)
  }

  async start(request: StartRequest, signal: AbortSignal): Promise<StartedDomain> {
    const { uuid, name } = request
    if (this.#sessions.has(uuid) || this.#starting.has(uuid)) {
      throw new Fault('operation_invalid', `Cannot start "${name}": it is running or starting, it must be shut off`)
    }
    this.#starting.add(uuid)
    try {
      const { host, processes, user, runDirectory, logDirectory, startTimeoutMs = 60_000 } = this.#options
      const shared = { host, processes, user, runDirectory, logDirectory, identities: this.#identities }
      const context = { ...shared, ...this.#listeners(), timeoutMs: startTimeoutMs }
      const { session, started } = await startDomain(request, context, signal)
      this.#keep(session)
      return started
    } finally {
      this.#starting.delete(uuid)
    }
  }

  async reattach(domain: RunningDomain, signal: AbortSignal): Promise<Reattached> {
    this.#sessions.get(domain.uuid)?.detach()
    this.#sessions.delete(domain.uuid)
    const { result, session } = await reattachDomain(domain, this.#reattachContext(), signal)
    if (session !== null) this.#keep(session)
    return result
  }

  async findUnrecorded(
    domain: { readonly uuid: string; readonly name: string },
    signal: AbortSignal,
  ): Promise<RunningDomain | null> {
    return await findUnrecordedDomain(domain, this.#reattachContext(), signal)
  }

  async detach(): Promise<void> {
    for (const session of this.#sessions.values()) session.detach()
    this.#sessions.clear()
  }

  async suspend(uuid: string, signal: AbortSignal): Promise<void> {
    await this.#session(uuid, 'suspend').execute('stop', {}, { signal })
  }

  async resume(uuid: string, signal: AbortSignal): Promise<void> {
    await this.#session(uuid, 'resume').execute('cont', {}, { signal })
  }

  async shutdown(uuid: string, signal: AbortSignal): Promise<void> {
    await this.#session(uuid, 'shut down').execute('system_powerdown', {}, { signal })
  }

  async reset(uuid: string, signal: AbortSignal): Promise<void> {
    await this.#session(uuid, 'reset').execute('system_reset', {}, { signal })
  }

  async destroy(uuid: string, signal: AbortSignal): Promise<void> {
    const session = this.#session(uuid, 'destroy')
    const { processes, endLimits: limits = defaultEndLimits } = this.#options
    const quit = async (): Promise<unknown> => await session.execute('quit', {}, { signal, timeoutMs: limits.quitMs })
    session.noteDestroy()
    try {
      await endProcess({
        process: session.options.process,
        processes,
        quit: session.isSilent ? null : quit,
        limits,
        signal,
      })
    } catch (error) {
      session.noteDestroyFailed()
      throw error
    }
    session.finish()
    await this.#removeDirectory(uuid)
    this.#sessions.delete(uuid)
  }

  async snapshotDisks(uuid: string, disks: readonly SnapshotDisk[], signal: AbortSignal): Promise<void> {
    const session = this.#session(uuid, 'snapshot')
    const known = nodeOptionsOfCommandLine(this.#options.processes.commandLine(session.options.process.pid))
    const optionsOf = (target: string): ReturnType<typeof known.get> & object => known.get(target) ?? {}
    await session.exclusively(async () => await snapshotDomainDisks(session, disks, { optionsOf, signal }))
  }

  async startBlockJob(uuid: string, job: BlockJobStart, signal: AbortSignal): Promise<void> {
    await startJob(this.#session(uuid, 'start a block job of'), job, signal)
  }

  async completeJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void> {
    await completeDomainJob(this.#session(uuid, 'complete a block job of'), jobId, signal)
  }

  async finalizeJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void> {
    await finalizeDomainJob(this.#session(uuid, 'finalize a block job of'), jobId, signal)
  }

  async cancelJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void> {
    await cancelDomainJob(this.#session(uuid, 'cancel a block job of'), jobId, signal)
  }

  async dismissJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void> {
    const session = this.#session(uuid, 'dismiss a block job of')
    await session.execute('job-dismiss', { id: jobId }, { signal })
    await session.exclusively(async () => await removeUnusedNodes(session, signal))
  }

  async setJobSpeed(...[uuid, jobId, bytesPerSecond, signal]: Parameters<Driver['setJobSpeed']>): Promise<void> {
    const speed = qmpNumber(bytesPerSecond, 'speed')
    await this.#session(uuid, 'set the speed of a block job of').execute(
      'block-job-set-speed',
      { device: jobId, speed },
      { signal },
    )
  }

  async queryJobs(uuid: string, signal: AbortSignal): Promise<readonly HypervisorJob[]> {
    return await queryDomainJobs(this.#session(uuid, 'ask for the block jobs of'), signal)
  }

  async queryChains(uuid: string, signal: AbortSignal): Promise<readonly HypervisorChain[]> {
    return await queryDomainChains(this.#session(uuid, 'ask for the chains of'), signal)
  }

  async sample(uuid: string, signal: AbortSignal): Promise<DomainSample> {
    return await sampleDomain(this.#session(uuid, 'sample'), signal)
  }

  facts(signal: AbortSignal): AsyncIterable<DriverFact> {
    return this.#facts.read(signal)
  }

  #session(uuid: string, action: string): DomainSession {
    const session = this.#sessions.get(uuid)
    if (session !== undefined) return session
    throw new Fault('operation_invalid', `Cannot ${action} domain ${uuid}: it is not running, it must be running`)
  }

  // It may have ended since: then nobody would take it out any more.
  #keep(session: DomainSession): void {
    if (!session.isOver) this.#sessions.set(session.options.uuid, session)
  }

  #reattachContext(): Parameters<typeof reattachDomain>[1] {
    const { processes, runDirectory, greetingTimeoutMs = 3_000 } = this.#options
    return { processes, runDirectory, greetingTimeoutMs, ...this.#listeners() }
  }

  #listeners(): {
    readonly onFact: (fact: DriverFact) => void
    readonly onEnd: (session: DomainSession) => Promise<void>
  } {
    return {
      onFact: (fact) => this.#facts.push(fact),
      onEnd: async (session) => {
        const { uuid } = session.options
        // A session that a destroy or a reattachment took out has nothing here any more: the directory may be the next run's.
        if (this.#sessions.get(uuid) !== session) return
        await this.#removeDirectory(uuid)
        this.#sessions.delete(uuid)
      },
    }
  }

  // What is left there (dead sockets) hinders nobody: the next start makes the directory anew.
  async #removeDirectory(uuid: string): Promise<void> {
    await rm(domainDirectory(this.#options.runDirectory, uuid), { recursive: true, force: true }).catch(() => undefined)
  }

  async #takeProbeTurn(): Promise<void> {
    if (this.#runningProbes >= maxProbesAtOnce) await new Promise<void>((resolve) => this.#waitingProbes.push(resolve))
    else this.#runningProbes += 1
  }

  #giveProbeTurn(): void {
    const next = this.#waitingProbes.shift()
    if (next === undefined) this.#runningProbes -= 1
    else next()
  }
}
