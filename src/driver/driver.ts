import type { HostModel } from '../conf/best-x86-model.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import type { EmulatorFacts } from '../conf/emulator-facts.ts'
import type { EmulatorIdentity, EmulatorProbe, RecordedEmulator, Staleness } from './emulator-probe.ts'
import type { ImageFormat } from './images.ts'

/** A hypervisor: what it must be able to do for the commands. Every wait ends at the signal; every failure is a Fault that names the action. */
export interface Driver {
  readonly kind: 'qemu' | 'test'
  /** Identifies what a probe asks and how its answers are judged; null where that never changes. */
  readonly build: string | null
  /** Emulators found on this machine, by path, without running any of them. */
  listEmulators(): Promise<readonly string[]>
  /** Runs the emulator once and asks it what it can do. */
  probe(binary: string, signal: AbortSignal): Promise<EmulatorProbe>
  /**
   * Reads what a capability version of the emulator would depend on, without running it; null where the file cannot be read. The content of a file
   * whose stat is the `recorded` one is not read again.
   */
  identify(binary: string, recorded?: EmulatorIdentity | null): EmulatorIdentity | null
  /** Compares recorded facts with this machine by stat and memoised host facts; null when nothing changed. Starts no process, takes no lock. */
  checkIdentity(binary: string, recorded: EmulatorIdentity): Staleness | null
  /** The same for several emulators in one moment: what the host says of itself is read once for all of them. Answers in their order. */
  checkIdentities(emulators: readonly RecordedEmulator[]): readonly (Staleness | null)[]
  /** Starts the domain's process with its CPUs stopped; `resume` lets it run. A failure leaves no process behind. */
  start(request: StartRequest, signal: AbortSignal): Promise<StartedDomain>
  /** Finds the process of a domain again after a restart of the daemon. Never touches a process that is not the one recorded. */
  reattach(domain: RunningDomain, signal: AbortSignal): Promise<Reattached>
  /** Finds the process of a start that was requested but never recorded as done (pid file and monitor of this uuid, confirmed by query-uuid). */
  findUnrecorded(
    domain: { readonly uuid: string; readonly name: string },
    signal: AbortSignal,
  ): Promise<RunningDomain | null>
  /** Forgets the connections to all domains; their processes go on. */
  detach(): Promise<void>
  suspend(uuid: string, signal: AbortSignal): Promise<void>
  resume(uuid: string, signal: AbortSignal): Promise<void>
  /** Asks the guest to power down (ACPI); the end comes as a fact. */
  shutdown(uuid: string, signal: AbortSignal): Promise<void>
  reset(uuid: string, signal: AbortSignal): Promise<void>
  /** Ends the process: quit by the monitor, SIGTERM, then SIGKILL; returns when it is dead (a zombie is dead). Such an end is no `ended` fact. */
  destroy(uuid: string, signal: AbortSignal): Promise<void>
  /** Puts overlays on top of the named disks, all or none, in one transaction of the hypervisor. */
  snapshotDisks(uuid: string, disks: readonly SnapshotDisk[], signal: AbortSignal): Promise<void>
  startBlockJob(uuid: string, job: BlockJobStart, signal: AbortSignal): Promise<void>
  /** READY -> PENDING; returns when both sides are equal: the hypervisor holds the guest's writes until finalizeJob or cancelJob. */
  completeJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void>
  /** PENDING -> concluded; returns when the job has taken effect, throws a Fault when it concluded in failure. */
  finalizeJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void>
  /** Any phase -> concluded without effect; one that has concluded already stays as it is. */
  cancelJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void>
  /** Removes a concluded job from the hypervisor's memory and closes the files that left the chain; the outcome must be recorded before. */
  dismissJob(uuid: string, jobId: string, signal: AbortSignal): Promise<void>
  /** Bytes per second; 0 = no limit. */
  setJobSpeed(uuid: string, jobId: string, bytesPerSecond: bigint, signal: AbortSignal): Promise<void>
  queryJobs(uuid: string, signal: AbortSignal): Promise<readonly HypervisorJob[]>
  /** The chain of each disk as the hypervisor has it, active image first. */
  queryChains(uuid: string, signal: AbortSignal): Promise<readonly HypervisorChain[]>
  /** One reading of everything that changes by itself. */
  sample(uuid: string, signal: AbortSignal): Promise<DomainSample>
  /** What hypervisors report by themselves, in the order in which it happened per domain. One consumer; ends when the signal aborts. */
  facts(signal: AbortSignal): AsyncIterable<DriverFact>
}

/** Everything needed to run a domain; the driver takes no decision about what the domain is. */
export interface StartRequest {
  readonly uuid: string
  readonly name: string
  readonly definition: DomainDef
  readonly caps: EmulatorFacts
  /** Recorded identity of the binary: another executable is refused before it runs. */
  readonly identity: EmulatorIdentity
  /** What CPU mode `host-model` means; null where the definition has another mode, or nobody can tell. */
  readonly hostModel: HostModel | null
  readonly disks: readonly DiskChain[]
  /** Values that replace `auto` in the definition. */
  readonly vncPorts: readonly number[]
}

/** A disk of the definition with its chain, active image first. */
export interface DiskChain {
  readonly target: string
  readonly readOnly: boolean
  readonly layers: readonly DiskLayer[]
}

/** One file of a chain. `index` is unique within a domain; the block nodes are named after it (`layerNode`, `storageNode`). */
export interface DiskLayer {
  readonly index: number
  readonly path: string
  readonly format: ImageFormat
}

/** Name of the block node of a layer's format driver (the one that jobs and snapshots name). At most 31 characters. */
export function layerNode(index: number): string {
  return `layer-${index}`
}

/** Name of the block node of a layer's file. */
export function storageNode(index: number): string {
  return `layer-${index}-file`
}

/** Identity of a running domain: a pid alone is nobody, pids are reused and hosts reboot. */
export interface ProcessIdentity {
  readonly pid: number
  /** Field 22 of /proc/PID/stat, clock ticks since boot. */
  readonly startTicks: bigint
  readonly bootId: string
}

/** What a start recorded, so that the process can be found again. */
export interface RunningDomain {
  readonly uuid: string
  readonly name: string
  readonly process: ProcessIdentity
  readonly monitorPath: string
}

/** Facts of a start. */
export interface StartedDomain {
  readonly process: ProcessIdentity
  readonly monitorPath: string
  readonly commandLine: readonly string[]
  readonly virtType: 'kvm' | 'qemu' | 'test'
  /** Pseudo terminal by device alias, for example serial0 -> /dev/pts/3. */
  readonly terminals: Readonly<Record<string, string>>
  readonly vncPorts: readonly number[]
}

/** What became of a domain while the daemon was away. */
export type Reattached =
  | {
      readonly kind: 'running'
      readonly state: 'running' | 'paused' | 'prelaunch'
      readonly jobs: readonly HypervisorJob[]
    }
  | { readonly kind: 'gone'; readonly why: 'host_rebooted' | 'process_gone' | 'process_is_another' }
  | { readonly kind: 'silent'; readonly why: string }

/** One disk of a snapshot: the overlay exists already and becomes the active image. */
export interface SnapshotDisk {
  readonly target: string
  readonly active: DiskLayer
  readonly overlay: DiskLayer
}

/** A block job to start; ids of jobs are the ids of their requests. */
export type BlockJobStart =
  | {
      readonly kind: 'pull'
      readonly jobId: string
      readonly target: string
      readonly top: DiskLayer
      readonly base: DiskLayer | null
      readonly bytesPerSecond: bigint
    }
  | {
      readonly kind: 'commit'
      readonly jobId: string
      readonly target: string
      readonly active: DiskLayer
      readonly top: DiskLayer
      readonly base: DiskLayer
      readonly bytesPerSecond: bigint
    }
  | {
      readonly kind: 'active_commit'
      readonly jobId: string
      readonly target: string
      readonly top: DiskLayer
      readonly base: DiskLayer
      readonly bytesPerSecond: bigint
    }

/** States of a job, as QEMU's JobStatus names them. */
export type HypervisorJobStatus =
  | 'created'
  | 'running'
  | 'paused'
  | 'ready'
  | 'standby'
  | 'waiting'
  | 'pending'
  | 'aborting'
  | 'concluded'
  | 'null'

/** A job as the hypervisor knows it. */
export interface HypervisorJob {
  readonly jobId: string
  readonly status: HypervisorJobStatus
  readonly currentBytes: bigint
  readonly totalBytes: bigint
  /** Set when the job concluded in failure. */
  readonly error: string | null
}

/** A disk's chain as the hypervisor has it; files by absolute path, active image first. */
export interface HypervisorChain {
  readonly target: string
  readonly layers: readonly { readonly node: string; readonly path: string; readonly format: string }[]
}

/** One reading of a running domain. */
export interface DomainSample {
  readonly atMs: number
  readonly paused: boolean
  /** CPU time of the process in nanoseconds. */
  readonly cpuTimeNs: bigint
  readonly userTimeNs: bigint
  readonly systemTimeNs: bigint
  /** Balloon's current size; null when the guest has none. */
  readonly balloonBytes: bigint | null
  readonly residentBytes: bigint
  readonly disks: readonly DiskSample[]
}

/** Counters of one disk since start. */
export interface DiskSample {
  readonly target: string
  readonly readRequests: bigint
  readonly readBytes: bigint
  readonly readTimeNs: bigint
  readonly writeRequests: bigint
  readonly writeBytes: bigint
  readonly writeTimeNs: bigint
  readonly flushRequests: bigint
  readonly flushTimeNs: bigint
  readonly capacityBytes: bigint
  readonly allocationBytes: bigint
}

/** Something that happened in a hypervisor without being asked, or as the later effect of a request. */
export type DriverFact =
  | { readonly kind: 'suspended'; readonly uuid: string }
  | { readonly kind: 'resumed'; readonly uuid: string }
  | { readonly kind: 'reset'; readonly uuid: string }
  | { readonly kind: 'guestShutdown'; readonly uuid: string }
  | { readonly kind: 'guestPanicked'; readonly uuid: string }
  | {
      readonly kind: 'ended'
      readonly uuid: string
      readonly how: 'shutdown' | 'crashed' | 'killed'
      readonly detail: string
    }
  | { readonly kind: 'jobChanged'; readonly uuid: string; readonly jobId: string; readonly status: HypervisorJobStatus }
  | { readonly kind: 'monitorSilent'; readonly uuid: string; readonly sinceMs: number }
