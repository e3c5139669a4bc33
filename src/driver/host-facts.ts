import type { ProcessIdentity } from './driver.ts'

/** Facts of this machine that drivers and `nodeinfo` need, each readable alone; a reader never pays for another fact. */
export interface HostFacts {
  /** Release and version, as `uname -rv` prints them. */
  kernel(): string
  /** First CPU of the machine. */
  cpu(): HostCpu
  /** Microcode revision of the first CPU as the kernel prints it; null where it prints none (ARM, some guests). */
  microcode(): string | null
  /** Whether KVM guests may themselves use KVM. */
  nestedKvm(): boolean
  /** Hash of the CPU features that KVM can give to guests; null where KVM cannot be asked. */
  cpuid(): string | null
  /** What the host has for guests whose memory it cannot read (SEV, TDX, s390 protected virtualization), in words; `none` where it has nothing. */
  secureGuest(): string
  /** Hash over the descriptors of firmware for guests, names and contents. */
  firmware(): string
  /** Whether the QEMU user can read and write /dev/kvm. */
  kvmUsable(): boolean
  nodeInfo(): NodeInfo
  hostname(): string
  /** The machine's UUID from its firmware, else from /etc/machine-id; null where neither holds a usable one. */
  uuid(): string | null
}

/** What tells one CPU from another; values are empty texts where the architecture has no such thing. */
export interface HostCpu {
  readonly vendor: string
  readonly name: string
  readonly family: string
  readonly model: string
  readonly stepping: string
}

/** The answer to `nodeinfo`. */
export interface NodeInfo {
  /** Name of the architecture, for example `x86_64`. */
  readonly model: string
  readonly memoryKib: bigint
  /** CPUs that are online. */
  readonly cpus: number
  readonly mhz: number
  readonly nodes: number
  /** Sockets of a node. */
  readonly sockets: number
  /** Cores of a socket. */
  readonly cores: number
  /** Threads of a core. */
  readonly threads: number
}

/** What is measured of some virtual CPUs of a domain together. */
export interface ThreadMonitor {
  readonly name: string
  /** Numbers of the virtual CPUs, ascending. */
  readonly vcpus: readonly number[]
  readonly banks: readonly MonitoredBank[]
}

/** Figures of a last-level cache and of the memory behind it, in bytes: what is held now, and what was moved since its measuring began. Null where not measured. */
export interface MonitoredBank {
  readonly id: number
  readonly occupancyBytes: bigint | null
  readonly localBytes: bigint | null
  readonly totalBytes: bigint | null
}

/** Processes of this machine, told apart by more than their pid. */
export interface ProcessTable {
  bootId(): string
  /** Processes that live now, whoever owns them. */
  list(): readonly number[]
  /** Arguments it was started with, the program's own name first; empty when it is gone. */
  commandLine(pid: number): readonly string[]
  /** Null when no such process lives; a zombie is dead, whoever forgets to reap it. */
  find(pid: number): ProcessIdentity | null
  /** Whether exactly this process lives. */
  isAlive(process: ProcessIdentity): boolean
  /** Whether it stands still by SIGSTOP, and so cannot answer. */
  isStopped(process: ProcessIdentity): boolean
  /** The file that the process runs; null when it is gone. */
  executable(pid: number): ExecutableFile | null
  /** Counters of the process; null when it is gone. */
  usage(process: ProcessIdentity): ProcessUsage | null
  /** Sends a signal to exactly this process; false when it is gone. */
  signal(process: ProcessIdentity, signal: 'SIGTERM' | 'SIGKILL'): boolean
}

/** The file behind /proc/PID/exe. */
export interface ExecutableFile {
  /** As the kernel prints it; ends in ` (deleted)` when the file was replaced. */
  readonly path: string
  readonly device: bigint
  readonly inode: bigint
  readonly sizeBytes: bigint
  readonly ctimeNs: bigint
}

/** What a process has used since its start, all threads together. */
export interface ProcessUsage {
  readonly userTimeNs: bigint
  readonly systemTimeNs: bigint
  readonly residentBytes: bigint
}

/** The user that hypervisor processes run as; null in its place means the daemon's own. */
export interface ProcessUser {
  readonly uid: number
  readonly gid: number
}
