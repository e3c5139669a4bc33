import type { DevicesDef } from './devices-def.ts'
import type { DomainDef } from './domain-def.ts'
import type { EmulatorFacts } from './emulator-facts.ts'

/** What a definition takes that is neither in it nor in the emulator's facts. */
export interface FreshValues {
  /** UUID of a definition that has none. */
  readonly uuid: string
  /** Source of randomness for MAC addresses. */
  randomBytes(count: number): Uint8Array
}

/** What every pass of the completion may look at. */
export interface CompletionContext {
  readonly facts: EmulatorFacts
  readonly fresh: FreshValues
}

/** One pass of the completion: one concern, pure, idempotent. */
export type CompletionPass = (def: DomainDef, context: CompletionContext) => DomainDef

/** A pass over the devices alone. */
export function withDevices(def: DomainDef, changed: Partial<DevicesDef>): DomainDef {
  return { ...def, devices: { ...def.devices, ...changed } }
}

/** Architecture of the guest, once it is known. */
export function archOf(def: DomainDef, context: CompletionContext): string {
  return def.os.type.arch ?? context.facts.arch
}

/** Whether the guest is a PC. */
export function isX86(arch: string): boolean {
  return arch === 'x86_64' || arch === 'i686'
}

/** Whether the machine type is a Q35 PC, by full name or alias. */
export function isQ35(def: DomainDef): boolean {
  return /^(?:pc-)?q35(?:-|$)/.test(def.os.type.machine ?? '')
}
