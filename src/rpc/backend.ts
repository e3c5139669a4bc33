import type { Commands } from '../commands/commands.ts'
import type { LogControl } from '../commands/log-control.ts'
import type { ProjectionControl } from '../commands/projection-control.ts'
import type { DomainView, Reads, ReadTexts } from '../commands/reads.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import type { DomainSample } from '../driver/driver.ts'
import type { NodeInfo, ThreadMonitor } from '../driver/host-facts.ts'
import type { ReplayReport } from '../readmodel/replay-check.ts'
import type { ServedDriver } from './connection-uri.ts'

/** Everything the handlers stand on: one driver's live view, its texts, its commands, and facts of the host. */
export interface RpcBackend extends ServedDriver {
  readonly reads: Reads
  readonly texts: ReadTexts
  readonly commands: Commands
  readonly host: RpcHost
  readonly domains: DomainFacts
  /** Replays the log and compares the result with what serves; absent where there is no log to replay. */
  replayCheck?(): Promise<ReplayReport>
  /** Signatures over the log, and erasures in it; absent where there is no log. */
  readonly log?: LogControl
  /** What operators may have the read models do; absent where there is no log. */
  readonly projections?: ProjectionControl
}

/** Facts of this machine that a connection can ask for. */
export interface RpcHost {
  hostname(): string
  nodeInfo(): NodeInfo
  freeMemoryBytes(): bigint
  /** One entry per CPU that the host could have, in order: whether it is online. */
  onlineCpus(): readonly boolean[]
  /** Version of the default emulator: major * 1_000_000 + minor * 1000 + micro. */
  hypervisorVersion(): number | Promise<number>
  /** Most vCPUs of one domain; null stands for the default type of virtualization. */
  maxVcpus(virtType: string | null): number | Promise<number>
  /** Names of the CPU models that definitions for an architecture may use. */
  cpuModelNames(arch: string): readonly string[] | Promise<readonly string[]>
}

/** What replies need of a domain besides its rows; nothing here asks the hypervisor. */
export interface DomainFacts {
  /** The definition of the running machine, or with `inactive` that of the next start. */
  definition(domain: DomainView, options: { readonly inactive: boolean }): DomainDef | Promise<DomainDef>
  /** The last reading of a running domain, null before the first one. */
  sample(uuid: string): DomainSample | null
  /** What the host measures of a running domain's virtual CPUs, read now; nothing where it measures nothing. */
  monitors(domain: DomainView): readonly ThreadMonitor[]
  /** Sizes of a disk's active image, by target or path. Throws Fault `invalid_arg` when the domain has no such disk. */
  blockInfo(domain: DomainView, disk: string): BlockInfo | Promise<BlockInfo>
  /** Progress of a block job as it was last heard, null when nothing was heard yet. */
  jobProgress(jobId: string): JobProgress | null
}

/** Sizes of a disk. */
export interface BlockInfo {
  /** What the guest sees. */
  readonly capacityBytes: bigint
  /** Highest byte in use as the guest's host sees it. */
  readonly allocationBytes: bigint
  /** Size of the file. */
  readonly physicalBytes: bigint
}

/** How far a block job is. */
export interface JobProgress {
  readonly currentBytes: bigint
  readonly totalBytes: bigint
}
