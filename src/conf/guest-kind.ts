/** How a guest is run, as the `type` of a definition names it; `test` is the driver without QEMU. */
export type GuestVirtType = 'kvm' | 'hvf' | 'qemu' | 'test'

/** The guest that a capability is asked for. */
export interface GuestKind {
  readonly arch: string
  readonly virtType: GuestVirtType
  /** Full name of the machine type, such as `pc-q35-8.2`; empty where there is none. */
  readonly machine: string
  readonly flags: ReadonlySet<string>
}

/** Whether a guest has a capability. */
export type GuestCondition = (guest: GuestKind) => boolean

/** Architectures of PCs. */
export const x86Arches: readonly string[] = ['i686', 'x86_64']

/** Architectures whose guests have ARM's interrupt controller. */
export const armArches: readonly string[] = ['armv6l', 'armv7l', 'aarch64']

/** Always. */
export const always: GuestCondition = () => true

/** The emulator has a flag. */
export function flag(name: string): GuestCondition {
  return ({ flags }) => flags.has(name)
}

/** The guest is of one of these architectures. */
export function arches(...names: readonly string[]): GuestCondition {
  return ({ arch }) => names.includes(arch)
}

/** Every condition holds. */
export function every(...conditions: readonly GuestCondition[]): GuestCondition {
  return (guest) => conditions.every((condition) => condition(guest))
}

/** One of the conditions holds. */
export function some(...conditions: readonly GuestCondition[]): GuestCondition {
  return (guest) => conditions.some((condition) => condition(guest))
}

/** The condition does not hold. */
export function not(condition: GuestCondition): GuestCondition {
  return (guest) => !condition(guest)
}

/** The machine type is one of these, or a version of one: `virt` is `virt-8.2` too. */
export function machines(...names: readonly string[]): GuestCondition {
  return ({ machine }) =>
    names.some(
      (name) => machine === name || (machine.startsWith(`${name}-`) && /^\d/.test(machine.slice(name.length + 1))),
    )
}

/** The PC with PCI, whose names came before those of any other: `pc-i440fx-8.2`, `pc-1.0`. */
export const i440fx: GuestCondition = every(arches(...x86Arches), machines('pc', 'pc-i440fx'))

/** The machine types that have an IDE controller of their own. */
export const builtInIde: GuestCondition = some(i440fx, machines('malta', 'sun4u', 'g3beige', 'mac99'))

/** IBM's machine for POWER. */
export const pseries: GuestCondition = every(arches('ppc64', 'ppc64le'), machines('pseries'))
