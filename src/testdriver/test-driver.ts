import type {
  BlockJobStart,
  Driver,
  DriverFact,
  HypervisorChain,
  HypervisorJob,
  DomainSample,
  Reattached,
  RunningDomain,
  SnapshotDisk,
  StartedDomain,
  StartRequest,
} from '../driver/driver.ts'
import { layerNode } from '../driver/driver.ts'
import type { EmulatorIdentity, EmulatorProbe, RecordedEmulator, Staleness } from '../driver/emulator-probe.ts'
import { abortFault } from '../util/abort-fault.ts'
import { Fault } from '../util/fault.ts'
import { isVerbAllowed, type JobVerb, jobVerbs } from './job-verbs.ts'
import { newMachine, runningDomain } from './new-machine.ts'
import { type MachineChange, MachineRunner } from './machine-runner.ts'
import { diskWithOverlay, planJob } from './plan-job.ts'
import { sampleMachine } from './sample-machine.ts'
import { withJobStatus } from './settle-machine.ts'
import { compareTestEmulator, probeTestEmulator, testEmulatorBinary } from './test-emulator.ts'
import { TestGuests } from './test-guests.ts'
import { defaultPace, doneBytes, type TestJob, type TestMachine, type TestPace } from './test-machine.ts'
import { type TestOperation, TestScript } from './test-script.ts'
import type { TestWorld } from './test-world.ts'
import { untilAborted } from '../util/until-aborted.ts'

/** What a test driver is made of. */
export interface TestDriverOptions {
  readonly world: TestWorld
  readonly pace?: TestPace
  /** Planned faults; only tests give some. */
  readonly script?: TestScript
  /** Facts that may wait for the consumer; then time stands still. */
  readonly maxWaitingFacts?: number
  /** How long a request waits for a silent monitor before that is reported. */
  readonly silentAfterMs?: number
}

type Settings = Required<TestDriverOptions>

/** A hypervisor without QEMU: domains are values that change with time, the same way on every machine. */
export class TestDriver implements Driver {
  readonly kind = 'test'
  readonly build = null
  /** What guests do by themselves, for tests. */
  readonly guests: TestGuests
  readonly #settings: Settings
  readonly #runner: MachineRunner
  readonly #silencesReported = new Map<string, number>()

  constructor(options: TestDriverOptions) {
    this.#settings = {
      pace: defaultPace,
      script: new TestScript(),
      maxWaitingFacts: 10_000,
      silentAfterMs: 1000,
      ...options,
    }
    this.#runner = new MachineRunner(this.#settings)
    this.guests = new TestGuests(this.#runner)
  }

  listEmulators(): Promise<readonly string[]> {
    return Promise.resolve([testEmulatorBinary])
  }

  async probe(binary: string, signal: AbortSignal): Promise<EmulatorProbe> {
    await this.#begin('probe', { uuid: null, signal })
    if (binary === testEmulatorBinary) return probeTestEmulator(this.#settings.script.emulatorVersion)
    throw new Fault(
      'operation_failed',
      `Cannot probe emulator "${binary}": the test driver has "${testEmulatorBinary}" only`,
    )
  }

  identify(binary: string): EmulatorIdentity | null {
    return binary === testEmulatorBinary ? probeTestEmulator(this.#settings.script.emulatorVersion).facts : null
  }

  checkIdentity(binary: string, recorded: EmulatorIdentity): Staleness | null {
    if (binary !== testEmulatorBinary) return { reason: 'emulator_missing', was: recorded.resolvedPath, is: 'none' }
    return compareTestEmulator(recorded, probeTestEmulator(this.#settings.script.emulatorVersion).facts)
  }

  checkIdentities(emulators: readonly RecordedEmulator[]): readonly (Staleness | null)[] {
    return emulators.map(({ binary, recorded }) => this.checkIdentity(binary, recorded))
  }

  async start(request: StartRequest, signal: AbortSignal): Promise<StartedDomain> {
    const { world } = this.#settings
    await this.#begin('start', { uuid: request.uuid, signal })
    const why = this.#whyNotStart(request)
    if (why !== null) throw new Fault('operation_invalid', `Cannot start domain "${request.name}": ${why}`)
    const machine = newMachine(request, world)
    this.#runner.put({ machine, facts: [] })
    this.#runner.attach(machine.uuid)
    return {
      ...runningDomain(machine, world.bootId),
      commandLine: [testEmulatorBinary, '-name', request.name, '-uuid', request.uuid],
      virtType: 'test',
      terminals: {},
      vncPorts: request.vncPorts,
    }
  }

  async reattach(domain: RunningDomain, signal: AbortSignal): Promise<Reattached> {
    const { world, script } = this.#settings
    await this.#begin('reattach', { uuid: domain.uuid, signal })
    if (domain.process.bootId !== world.bootId) return { kind: 'gone', why: 'host_rebooted' }
    const machine = this.#runner.current(domain.uuid)
    if (machine === null) return { kind: 'gone', why: 'process_gone' }
    const isSame = machine.pid === domain.process.pid && machine.startTicks === domain.process.startTicks
    if (!isSame) return { kind: 'gone', why: 'process_is_another' }
    this.#runner.attach(domain.uuid)
    if (script.silentSinceMs(domain.uuid) !== null) return { kind: 'silent', why: 'its monitor does not answer' }
    return { kind: 'running', state: machine.cpus, jobs: this.#jobsOf(machine) }
  }

  async findUnrecorded(
    domain: { readonly uuid: string; readonly name: string },
    signal: AbortSignal,
  ): Promise<RunningDomain | null> {
    await this.#begin('findUnrecorded', { uuid: domain.uuid, signal })
    const machine = this.#runner.current(domain.uuid)
    return machine === null ? null : runningDomain(machine, this.#settings.world.bootId)
  }

  detach(): Promise<void> {
    this.#runner.detach()
    return Promise.resolve()
  }

  async suspend(uuid: string, signal: AbortSignal): Promise<void> {
    await this.#change('suspend', { uuid, signal }, (machine) => {
      if (machine.cpus !== 'running') return { machine, facts: [] }
      return { machine: { ...machine, cpus: 'paused' }, facts: [{ kind: 'suspended', uuid }] }
    })
  }

  async resume(uuid: string, signal: AbortSignal): Promise<void> {
    await this.#change('resume', { uuid, signal }, (machine) => {
      if (machine.cpus === 'running') return { machine, facts: [] }
      return { machine: { ...machine, cpus: 'running' }, facts: [{ kind: 'resumed', uuid }] }
    })
  }

  async shutdown(uuid: string, signal: AbortSignal): Promise<void> {
    const { powerOffMs } = this.#settings.pace
    await this.#change('shutdown', { uuid, signal }, (machine) => ({
      machine: { ...machine, powerOffAtRanMs: machine.powerOffAtRanMs ?? machine.ranMs + powerOffMs },
      facts: [],
    }))
  }

  async reset(uuid: string, signal: AbortSignal): Promise<void> {
    await this.#change('reset', { uuid, signal }, (machine) => ({
      machine: { ...machine, powerOffAtRanMs: null },
      facts: [{ kind: 'reset', uuid }],
    }))
  }

  async destroy(uuid: string, signal: AbortSignal): Promise<void> {
    // A process can be killed whatever its monitor does.
    await this.#begin('destroy', { uuid: uuid, signal })
    if (this.#runner.current(uuid) === null) return
    this.#runner.end(uuid, [{ kind: 'ended', uuid, how: 'killed', detail: 'destroyed on request' }])
  }

  async snapshotDisks(uuid: string, disks: readonly SnapshotDisk[], signal: AbortSignal): Promise<void> {
    await this.#change('snapshotDisks', { uuid, signal }, (machine) => {
      // One after the other on a value: a refusal at the last disk leaves the machine as it was.
      let after = machine
      for (const snapshot of disks) {
        const changed = diskWithOverlay(after, snapshot)
        after = { ...after, disks: after.disks.map((disk) => (disk.target === changed.target ? changed : disk)) }
      }
      return { machine: after, facts: [] }
    })
  }

  async startBlockJob(uuid: string, job: BlockJobStart, signal: AbortSignal): Promise<void> {
    await this.#change('startBlockJob', { uuid, signal }, (machine) => ({
      machine: { ...machine, jobs: [...machine.jobs, planJob(machine, job, this.#settings.pace)] },
      facts: [{ kind: 'jobChanged', uuid, jobId: job.jobId, status: 'created' }],
    }))
  }

  async completeJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void> {
    await this.#onJob('complete', { uuid, jobId, signal }, (machine, job) => withJobStatus(machine, job, 'waiting'))
  }

  async finalizeJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void> {
    await this.#onJob('finalize', { uuid, jobId, signal }, (machine, job) => ({
      machine: withJob(machine, { ...job, sinceMs: machine.atMs, finalizing: true }),
      facts: [],
    }))
  }

  async cancelJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void> {
    await this.#onJob('cancel', { uuid, jobId, signal }, (machine, job) =>
      withJobStatus(machine, { ...this.#settled(job, machine), error: 'Operation canceled' }, 'aborting'),
    )
  }

  async dismissJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void> {
    await this.#onJob('dismiss', { uuid, jobId, signal }, (machine) => ({
      machine: { ...machine, jobs: machine.jobs.filter((job) => job.jobId !== jobId) },
      facts: [{ kind: 'jobChanged', uuid, jobId, status: 'null' }],
    }))
  }

  async setJobSpeed(...[uuid, jobId, bytesPerSecond, signal]: Parameters<Driver['setJobSpeed']>): Promise<void> {
    await this.#onJob('setSpeed', { uuid, jobId, signal }, (machine, job) => ({
      machine: withJob(machine, { ...this.#settled(job, machine), bytesPerSecond }),
      facts: [],
    }))
  }

  async queryJobs(uuid: string, signal: AbortSignal): Promise<readonly HypervisorJob[]> {
    return this.#jobsOf(await this.#machine('queryJobs', { uuid, signal }))
  }

  async queryChains(uuid: string, signal: AbortSignal): Promise<readonly HypervisorChain[]> {
    const machine = await this.#machine('queryChains', { uuid, signal })
    return machine.disks.map(({ target, layers }) => ({
      target,
      layers: layers.map(({ index, path, format }) => ({ node: layerNode(index), path, format })),
    }))
  }

  async sample(uuid: string, signal: AbortSignal): Promise<DomainSample> {
    return sampleMachine(await this.#machine('sample', { uuid, signal }))
  }

  facts(signal: AbortSignal): AsyncIterable<DriverFact> {
    return this.#runner.facts(signal)
  }

  /** Every request passes here: the signal, then what a script has planned for it. */
  async #begin(
    operation: TestOperation,
    { uuid, signal }: { readonly uuid: string | null; readonly signal: AbortSignal },
  ): Promise<void> {
    if (signal.aborted) throw abortFault(signal, operation)
    await this.#settings.script.disturb(operation, { uuid, signal, timers: this.#settings.world.timers })
  }

  /** The machine that a request is for; waits for its end when the monitor is silent. */
  async #machine(
    operation: TestOperation,
    { uuid, signal }: { readonly uuid: string; readonly signal: AbortSignal },
  ): Promise<TestMachine> {
    await this.#begin(operation, { uuid, signal })
    const machine = this.#runner.current(uuid)
    if (machine === null) throw new Fault('operation_invalid', `Cannot ${operation} domain ${uuid}: it is not running`)
    const sinceMs = this.#settings.script.silentSinceMs(uuid)
    if (sinceMs !== null) await this.#waitInSilence(`${operation} domain "${machine.name}"`, { uuid, signal, sinceMs })
    return machine
  }

  async #waitInSilence(
    action: string,
    at: { readonly uuid: string; readonly signal: AbortSignal; readonly sinceMs: number },
  ): Promise<void> {
    const { timers } = this.#settings.world
    await untilAborted(action, { signal: at.signal, forMs: this.#settings.silentAfterMs, timers })
    if (this.#silencesReported.get(at.uuid) !== at.sinceMs) {
      this.#silencesReported.set(at.uuid, at.sinceMs)
      this.#runner.report({ kind: 'monitorSilent', uuid: at.uuid, sinceMs: at.sinceMs })
    }
    await untilAborted(action, { signal: at.signal, forMs: null, timers })
  }

  async #change(
    operation: TestOperation,
    at: { readonly uuid: string; readonly signal: AbortSignal },
    change: (machine: TestMachine) => MachineChange,
  ): Promise<void> {
    this.#runner.put(change(await this.#machine(operation, at)))
  }

  async #onJob(
    verb: JobVerb,
    at: { readonly uuid: string; readonly jobId: string; readonly signal: AbortSignal },
    change: (machine: TestMachine, job: TestJob) => MachineChange,
  ): Promise<void> {
    await this.#change(jobOperations[verb], at, (machine) => {
      const job = machine.jobs.find((candidate) => candidate.jobId === at.jobId)
      const action = `Cannot ${verb} block job ${at.jobId} of domain "${machine.name}"`
      if (job === undefined) throw new Fault('block_job_missing', `${action}: there is no such job`)
      if (job.finalizing) throw new Fault('operation_invalid', `${action}: it is being finalized`)
      if (!isVerbAllowed(verb, job.status)) {
        throw new Fault(
          'operation_invalid',
          `${action}: it is ${job.status}, it must be ${jobVerbs[verb].join(' or ')}`,
        )
      }
      return change(machine, job)
    })
  }

  #whyNotStart({ uuid, identity }: StartRequest): string | null {
    if (this.#runner.current(uuid) !== null) return 'it is running, it must be shut off'
    const changed = this.checkIdentity(testEmulatorBinary, identity)
    return changed === null ? null : `its emulator was probed as ${changed.was}, it is ${changed.is} now`
  }

  /** The job with its progress up to now, ready to go on from here at another speed or not at all. */
  #settled(job: TestJob, machine: TestMachine): TestJob {
    return { ...job, currentBytes: doneBytes(job, machine.atMs, this.#settings.pace), sinceMs: machine.atMs }
  }

  #jobsOf(machine: TestMachine): readonly HypervisorJob[] {
    return machine.jobs.map((job) => ({
      jobId: job.jobId,
      status: job.status,
      currentBytes: doneBytes(job, machine.atMs, this.#settings.pace),
      totalBytes: job.totalBytes,
      error: job.status === 'concluded' ? job.error : null,
    }))
  }
}

/** Which request each verb is, for scripts and errors. */
const jobOperations: Readonly<Record<JobVerb, TestOperation>> = {
  complete: 'completeJob',
  finalize: 'finalizeJob',
  cancel: 'cancelJob',
  dismiss: 'dismissJob',
  setSpeed: 'setJobSpeed',
}

function withJob(machine: TestMachine, job: TestJob): TestMachine {
  return { ...machine, jobs: machine.jobs.map((other) => (other.jobId === job.jobId ? job : other)) }
}
