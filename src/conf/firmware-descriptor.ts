import type { GuestKind } from './guest-kind.ts'

/** What a firmware descriptor of QEMU says (docs/interop/firmware.json of its manual), as far as the choice of a firmware needs it. */
export interface FirmwareDescriptor {
  /** `bios`, `uefi` and others. */
  readonly interfaceTypes: readonly string[]
  readonly targets: readonly { readonly architecture: string; readonly machines: readonly string[] }[]
  /** Such as `secure-boot`, `requires-smm`. */
  readonly features: readonly string[]
}

/** What firmware a guest may ask for without naming a file. */
export interface FirmwareChoice {
  /** As definitions name them. */
  readonly types: readonly string[]
  /** Whether one of them keeps secure boot's keys from the guest. */
  readonly secure: boolean
}

/** Names of interfaces in descriptors and in definitions, in the order of the document. */
const interfaceNames = [
  { described: 'bios', name: 'bios' },
  { described: 'uefi', name: 'efi' },
] as const

/** QEMU's name of an architecture where definitions have another. */
const descriptorArches: Readonly<Record<string, string>> = { i686: 'i386', armv7l: 'arm' }

/** The firmware that a host has for a guest. */
export function chooseFirmware(
  descriptors: readonly FirmwareDescriptor[],
  { arch, machine }: Pick<GuestKind, 'arch' | 'machine'>,
): FirmwareChoice {
  const architecture = descriptorArches[arch] ?? arch
  const fitting = descriptors.filter(({ targets }) =>
    targets.some(
      (target) => target.architecture === architecture && target.machines.some((glob) => fits(glob, machine)),
    ),
  )
  return {
    types: interfaceNames
      .filter(({ described }) => fitting.some(({ interfaceTypes }) => interfaceTypes.includes(described)))
      .map(({ name }) => name),
    secure: fitting.some(({ features }) => features.includes('secure-boot') && features.includes('requires-smm')),
  }
}

/** Whether a machine type fits a shell pattern. */
function fits(glob: string, machine: string): boolean {
  const literal = glob.split(/([*?])/).map((part) => {
    if (part === '*') return '.*'
    return part === '?' ? '.' : part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
  })
  return new RegExp(`^${literal.join('')}$`).test(machine)
}
