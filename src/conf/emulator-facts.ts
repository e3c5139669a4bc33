/** What one version of one emulator binary can do; immutable, told by nobody but its probe. */
export interface EmulatorFacts {
  /** Identifies this set of facts; recorded with everything judged by it. */
  readonly capsId: string
  readonly binary: string
  /** libvirt's name of the guest architecture, for example `x86_64`. */
  readonly arch: string
  /** major * 1_000_000 + minor * 1_000 + micro. */
  readonly version: bigint
  /** Accelerators that work, the preferred one first. */
  readonly virtTypes: readonly EmulatorVirtType[]
  readonly machines: readonly EmulatorMachine[]
  readonly cpuModels: readonly EmulatorCpuModel[]
  /** Names of the capability flags that are set. */
  readonly flags: ReadonlySet<string>
}

/** Hardware (`kvm`), translation (`qemu`), or the driver without QEMU (`test`). */
export type EmulatorVirtType = 'kvm' | 'qemu' | 'test'

/** A machine type; `alias` is another name for it, as `pc` for `pc-i440fx-7.2`. */
export interface EmulatorMachine {
  readonly name: string
  readonly alias?: string | undefined
  /** 0 where the emulator states no limit. */
  readonly maxCpus: number
  readonly isDefault: boolean
}

/** A CPU model; usable means that this host has all of its features. */
export interface EmulatorCpuModel {
  readonly name: string
  readonly usable: boolean
}
