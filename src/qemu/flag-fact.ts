import type { Accelerator, DocumentFormat } from '../conf/emulator-document.ts'

/** The one fact that a capability flag states. */
export type FlagFact =
  | { readonly kind: 'qomType'; readonly type: string }
  /** A property of a device, from device-list-properties. */
  | { readonly kind: 'property'; readonly type: string; readonly property: string }
  /** A device's property that is false unless set. */
  | { readonly kind: 'disabledByDefault'; readonly type: string; readonly property: string }
  /** A property of any QOM type, from qom-list-properties. */
  | { readonly kind: 'objectProperty'; readonly type: string; readonly property: string }
  /** A property of the machine type with this name or alias. */
  | { readonly kind: 'machineProperty'; readonly machine: string; readonly property: string }
  /** A path into the QMP schema; see `SchemaPaths`. */
  | { readonly kind: 'schema'; readonly path: string }
  | { readonly kind: 'option'; readonly option: string; readonly parameter: string | null }
  | { readonly kind: 'migrationCapability'; readonly capability: string }
  | { readonly kind: 'tpmModel'; readonly model: string }
  | { readonly kind: 'tpmType'; readonly type: string }
  | { readonly kind: 'cpuModel'; readonly model: string }
  | { readonly kind: 'accelerator'; readonly accelerator: Accelerator }
  /** A type of SEV guest that the host can run as well. */
  | { readonly kind: 'sevType'; readonly type: string }
  | { readonly kind: 'sgx' }
  | { readonly kind: 'architecture'; readonly anyOf: readonly string[] }
  | { readonly kind: 'version'; readonly atLeast: number; readonly below: number }

/** A capability flag: what it is called, what makes it set, and in which layouts of the document it stands. */
export interface FlagRule {
  readonly flag: string
  readonly fact: FlagFact
  readonly formats: readonly DocumentFormat[]
}

/** Both layouts name the flag. */
export const everywhere = ['9.0.0', '11.3.0'] as const
/** The flag was given up: every emulator that is still served has it. */
export const older = ['9.0.0'] as const
/** The flag is younger than the older layout. */
export const newer = ['11.3.0'] as const

/** A row of the table of flags. */
export function flag(name: string, fact: FlagFact, formats: readonly DocumentFormat[] = everywhere): FlagRule {
  return { flag: name, fact, formats }
}
/** QOM type `type` exists. */
export function qomType(type: string): FlagFact {
  return { kind: 'qomType', type }
}
/** Device `type` has the property. */
export function property(type: string, name: string): FlagFact {
  return { kind: 'property', type, property: name }
}
/** Device `type` has the property and it is false unless set. */
export function disabledByDefault(type: string, name: string): FlagFact {
  return { kind: 'disabledByDefault', type, property: name }
}
/** QOM type `type` has the property. */
export function objectProperty(type: string, name: string): FlagFact {
  return { kind: 'objectProperty', type, property: name }
}
/** The machine type with this name or alias has the property. */
export function machineProperty(machine: string, name: string): FlagFact {
  return { kind: 'machineProperty', machine, property: name }
}
/** The QMP schema has the path. */
export function schema(path: string): FlagFact {
  return { kind: 'schema', path }
}
/** The command-line option exists, with the parameter where one is named. */
export function option(name: string, parameter: string | null = null): FlagFact {
  return { kind: 'option', option: name, parameter }
}
/** Migration knows the capability. */
export function migrationCapability(capability: string): FlagFact {
  return { kind: 'migrationCapability', capability }
}
/** The TPM model exists. */
export function tpmModel(model: string): FlagFact {
  return { kind: 'tpmModel', model }
}
/** The TPM backend exists. */
export function tpmType(type: string): FlagFact {
  return { kind: 'tpmType', type }
}
/** The CPU model exists. */
export function cpuModel(model: string): FlagFact {
  return { kind: 'cpuModel', model }
}
/** The accelerator works. */
export function accelerator(name: Accelerator): FlagFact {
  return { kind: 'accelerator', accelerator: name }
}
/** The QOM type exists and the host has SEV. */
export function sevType(type: string): FlagFact {
  return { kind: 'sevType', type }
}
/** The host has SGX. */
export function sgx(): FlagFact {
  return { kind: 'sgx' }
}
/** The guest architecture is one of these. */
export function architecture(...anyOf: readonly string[]): FlagFact {
  return { kind: 'architecture', anyOf }
}
/** The version is at least this. */
export function since(atLeast: number): FlagFact {
  return { kind: 'version', atLeast, below: Infinity }
}
/** The version is below this. */
export function before(below: number): FlagFact {
  return { kind: 'version', atLeast: 0, below }
}
