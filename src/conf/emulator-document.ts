/** The layouts of the capability document: that of libvirt 9.0 and that of 11.3. */
export type DocumentFormat = '9.0.0' | '11.3.0'

/** An accelerator as the document names it. */
export type Accelerator = 'kvm' | 'hvf' | 'tcg'

/** Everything that one emulator said of itself: the capability document. */
export interface EmulatorDocument {
  readonly emulator: string
  /** When binary and daemon last changed, seconds since 1970, and the daemon's version: what a cached document is compared by. */
  readonly emulatorChangedS: bigint
  readonly daemonChangedS: bigint
  readonly daemonVersion: number
  /** Names of the flags that are set, in the order of the table of flags. */
  readonly flags: readonly string[]
  /** major * 1_000_000 + minor * 1_000 + micro. */
  readonly version: number
  readonly microcodeVersion: number
  readonly package: string
  /** libvirt's name of the guest architecture. */
  readonly arch: string
  readonly accelerators: readonly AcceleratorDocument[]
  readonly gic: readonly GicVersion[]
  readonly sev: SevDocument | null
  readonly sgx: SgxDocument | null
  /** Names of the Hyper-V enlightenments; null where the emulator was not asked or could not say. */
  readonly hyperv: readonly string[] | null
}

/** The part of a capability document that the emulator itself said: the same whenever the same emulator is asked on the same host. */
export type EmulatorCapabilities = Omit<
  EmulatorDocument,
  'emulator' | 'emulatorChangedS' | 'daemonChangedS' | 'daemonVersion' | 'microcodeVersion'
>

/** What holds under one accelerator. */
export interface AcceleratorDocument {
  readonly type: Accelerator
  readonly hostCpu: HostCpuDocument | null
  readonly cpus: readonly CpuDocument[]
  readonly machines: readonly MachineDocument[]
}

/** The CPU model that a guest gets as the host's own, expanded. */
export interface HostCpuDocument {
  readonly model: string
  /** Whether the emulator says which properties survive a migration. */
  readonly migratability: boolean
  readonly properties: readonly CpuProperty[]
  readonly deprecatedFeatures: readonly string[]
}

/** A property of a CPU model; `migratable` is null where it is not known or does not apply. */
export interface CpuProperty {
  readonly name: string
  readonly value: boolean | bigint | string
  readonly migratable: boolean | null
}

/** A CPU model that can be named in a definition. */
export interface CpuDocument {
  readonly name: string
  /** QOM type; null where the emulator does not say. */
  readonly typeName: string | null
  /** Whether this host can run it; null where the emulator does not say. */
  readonly usable: boolean | null
  /** Features that are missing on this host. */
  readonly blockers: readonly string[]
  readonly deprecated: boolean
}

/** A machine type. */
export interface MachineDocument {
  readonly name: string
  readonly alias: string | null
  readonly hotplugCpus: boolean
  readonly maxCpus: number
  readonly isDefault: boolean
  readonly defaultCpu: string | null
  readonly numaMemory: boolean
  readonly defaultRamId: string | null
  readonly deprecated: boolean
  /** Null where the emulator does not say. */
  readonly acpi: boolean | null
}

/** A version of ARM's interrupt controller. */
export interface GicVersion {
  readonly version: number
  readonly kernel: boolean
  readonly emulated: boolean
}

/** What query-sev-capabilities says. */
export interface SevDocument {
  readonly cBitPosition: number
  readonly reducedPhysicalBits: number
  readonly pdh: string
  readonly certChain: string
  readonly cpu0Id: string | null
}

/** What query-sgx-capabilities says; sizes in KiB. */
export interface SgxDocument {
  readonly flc: boolean
  readonly sgx1: boolean
  readonly sgx2: boolean
  readonly sectionSizeKib: bigint
  readonly sections: readonly { readonly node: number; readonly sizeKib: bigint }[]
}
