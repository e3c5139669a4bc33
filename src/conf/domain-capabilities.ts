import type { SgxDocument } from './emulator-document.ts'
import type { GuestVirtType } from './guest-kind.ts'

/** What a guest of one emulator, machine type and virtualization type may be given. */
export interface DomainCapabilities {
  readonly emulator: string
  readonly virtType: GuestVirtType
  /** Full name of the machine type; null where the emulator has none. */
  readonly machine: string | null
  readonly arch: string
  /** Null where the emulator does not run this machine type under this virtualization type. */
  readonly maxVcpus: number | null
  readonly iothreads: boolean
  readonly firmware: readonly string[]
  readonly loader: CapabilityGroup & { readonly paths: readonly string[] }
  readonly cpu: CpuCapabilities
  readonly memoryBacking: CapabilityGroup
  readonly devices: readonly CapabilityGroup[]
  readonly features: readonly FeatureCapability[]
}

/** A closed list of values that definitions may have in one place. */
export interface CapabilityEnum {
  readonly name: string
  readonly values: readonly string[]
}

/** A kind of device, or another part of a guest, with the choices that it has. */
export interface CapabilityGroup {
  readonly name: string
  readonly supported: boolean
  readonly enums: readonly CapabilityEnum[]
}

/** A feature: a group, or one that says more. */
export type FeatureCapability =
  | ({ readonly kind: 'group' } & CapabilityGroup)
  | { readonly kind: 'sev'; readonly sev: SevCapability }
  | { readonly kind: 'sgx'; readonly sgx: SgxDocument }

/** AMD's encrypted guests; numbers of guests are the host's. */
export interface SevCapability {
  readonly cBitPosition: number
  readonly reducedPhysicalBits: number
  readonly maxGuests: number
  readonly maxEncryptedStateGuests: number
  readonly cpu0Id: string | null
}

/** What CPUs a guest may be given, by mode. */
export interface CpuCapabilities {
  readonly hostPassthrough: CapabilityGroup
  readonly maximum: CapabilityGroup
  readonly hostModel: NamedCpu | null
  readonly custom: readonly CustomCpu[]
}

/** The host's CPU in words of definitions: a model and what it has more and less. */
export interface NamedCpu {
  readonly model: string
  /** Whether a definition may have the next best model. */
  readonly fallback: 'allow' | 'forbid'
  readonly vendor: string | null
  /** Null where the host does not tell how many bits its physical addresses have, or they do not matter. */
  readonly physicalBitsLimit: number | null
  readonly features: readonly { readonly policy: 'require' | 'disable'; readonly name: string }[]
}

/** A CPU model that definitions may name. */
export interface CustomCpu {
  readonly name: string
  readonly usable: 'yes' | 'no' | 'unknown'
  readonly deprecated: boolean
  readonly vendor: string
  /** The versioned model that the name stands for; null where it is one. */
  readonly canonical: string | null
  /** Features that are missing on this host, each once, sorted. */
  readonly blockers: readonly string[]
}
