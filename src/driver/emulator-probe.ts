import type { EmulatorCapabilities } from '../conf/emulator-document.ts'

/** The machine types, CPU models and flags that one emulator binary reported, as a driver returns them. */
export interface EmulatorProbe {
  /** Path that was asked for; a wrapper or a link is not resolved here. */
  readonly binary: string
  /** libvirt's name of the architecture, for example `x86_64`. */
  readonly arch: string
  /** major * 1_000_000 + minor * 1_000 + micro. */
  readonly version: number
  /** The distribution's package text, as QEMU prints it; empty when it prints none. */
  readonly package: string
  /** `kvm` stands first where the accelerator answered. */
  readonly virtTypes: readonly VirtType[]
  readonly machines: readonly MachineType[]
  readonly cpuModels: readonly CpuModel[]
  /** Names of the capability flags that are set, sorted. */
  readonly flags: readonly string[]
  /** Everything of the capability document that does not depend on the file or the daemon. */
  readonly capabilities: EmulatorCapabilities
  readonly facts: EmulatorIdentity
  /** The conversation with QEMU, commands and replies, in the format of a `.replies` recording. */
  readonly conversation: string
}

/** Which accelerator runs a domain: hardware (`kvm`) or translation (`qemu`); `test` is the driver without QEMU. */
export type VirtType = 'kvm' | 'qemu' | 'test'

/** One machine type, as `query-machines` reports it. */
export interface MachineType {
  readonly name: string
  readonly alias: string | null
  readonly maxCpus: number
  readonly isDefault: boolean
}

/** One CPU model; usable means that the host lacks none of its features. */
export interface CpuModel {
  readonly name: string
  readonly usable: boolean
}

/** What is compared to tell whether a recorded capability version still speaks of the binary on disk. */
export interface EmulatorIdentity {
  readonly resolvedPath: string
  readonly device: bigint
  readonly inode: bigint
  readonly sizeBytes: bigint
  readonly ctimeNs: bigint
  /** Lower-case hex SHA-256 of the resolved file; behind a wrapper, of that hash and the hash of what it runs. */
  readonly sha256: string
  /** Executable of the QEMU that answered: differs from resolvedPath behind a wrapper script. */
  readonly executablePath: string
  /** That executable's file; null where it is the resolved file itself, or was not recorded. */
  readonly executable: ExecutableIdentity | null
  /** Whether the QEMU user could open /dev/kvm. */
  readonly kvmUsable: boolean
  readonly moduleDirectory: string | null
  readonly moduleDirectoryMtimeNs: bigint | null
  readonly kernel: string
  readonly microcode: string | null
  readonly hostCpu: string
  readonly nestedKvm: boolean
  readonly uid: number
  readonly gid: number
  /** What the probe was asked and judged by; null = recorded before builds were told apart. */
  readonly daemonBuild: string | null
  /** See HostFacts; null where KVM could not be asked, or was not recorded. */
  readonly cpuid: string | null
  /** See HostFacts; null = not recorded. */
  readonly secureGuest: string | null
  /** See HostFacts; null = not recorded. */
  readonly firmware: string | null
}

/** An emulator with the identity that was recorded of it. */
export interface RecordedEmulator {
  readonly binary: string
  readonly recorded: EmulatorIdentity
}

/** The file of a program, as `stat` tells it. */
export interface ExecutableIdentity {
  readonly device: bigint
  readonly inode: bigint
  readonly sizeBytes: bigint
  readonly ctimeNs: bigint
}

/** A reason, out of the closed list, for which a recorded capability version is no longer valid, with both values. */
export interface Staleness {
  readonly reason: InvalidationReason
  readonly was: string
  readonly is: string
}

/** The closed list of reasons (capabilities.md section 2), in the order in which they are checked. */
export const invalidationReasons = [
  'module_directory_unreadable',
  'module_directory_changed',
  'daemon_changed',
  'emulator_missing',
  'emulator_changed',
  'kvm_appeared',
  'kvm_gone',
  'host_cpu_changed',
  'microcode_changed',
  'kernel_changed',
  'cpuid_changed',
  'nested_kvm_changed',
  'secure_guest_changed',
  'cache_unreadable',
  'firmware_descriptors_changed',
  'probe_environment_changed',
  'operator_request',
] as const

/** One of {@link invalidationReasons}. */
export type InvalidationReason = (typeof invalidationReasons)[number]
