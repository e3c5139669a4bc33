import type { XmlElement } from '../xml/xml-node.ts'
import type { Accelerator } from './emulator-document.ts'
import type { CapabilityScope } from './guest-device-table.ts'
import { leaf, tree } from './xml-tree.ts'

/** What runs guests: an accelerator of QEMU's, or the driver without QEMU. */
export type GuestAccelerator = Accelerator | 'test'

/** A machine type of an emulator as the guest part lists it. */
export interface GuestMachine {
  readonly name: string
  readonly alias: string | null
  readonly maxCpus: number
  readonly isDefault: boolean
}

/** What the guest part of the capabilities says of one emulator. */
export interface GuestEmulator {
  readonly arch: string
  readonly binary: string
  readonly accelerators: readonly GuestAccelerator[]
  readonly machines: readonly GuestMachine[]
  /** `emulator` if not given. */
  readonly scope?: CapabilityScope
}

/** Virtualization types in the order of the document, by accelerator. */
const domainTypes = [
  { accelerator: 'tcg', type: 'qemu' },
  { accelerator: 'kvm', type: 'kvm' },
  { accelerator: 'hvf', type: 'hvf' },
  { accelerator: 'test', type: 'test' },
] as const

const wordSizeBits: Readonly<Record<string, 32 | 64>> = {
  aarch64: 64,
  alpha: 64,
  loongarch64: 64,
  mips64: 64,
  mips64el: 64,
  ppc64: 64,
  ppc64le: 64,
  riscv64: 64,
  s390x: 64,
  sparc64: 64,
  x86_64: 64,
}

const x86 = ['i686', 'x86_64']
/** Features, and the architectures that have them, null: all; `beyond`: this daemon does not have it. */
const features: readonly {
  readonly name: string
  readonly arches: readonly string[] | null
  readonly beyond?: true
  readonly attributes?: Readonly<Record<string, string>>
}[] = [
  { name: 'pae', arches: ['i686'] },
  { name: 'nonpae', arches: ['i686'] },
  { name: 'acpi', arches: [...x86, 'aarch64', 'loongarch64'], attributes: { default: 'on', toggle: 'yes' } },
  { name: 'apic', arches: x86, attributes: { default: 'on', toggle: 'no' } },
  { name: 'cpuselection', arches: null },
  { name: 'deviceboot', arches: null },
  { name: 'disksnapshot', arches: null, attributes: { default: 'on', toggle: 'no' } },
  // To delete and revert to external snapshots.
  { name: 'externalSnapshot', arches: null, beyond: true },
]

/** The `<guest>` element of an emulator. */
export function guestElement({ arch, binary, accelerators, machines, scope }: GuestEmulator): XmlElement {
  const types = domainTypes.filter(({ accelerator }) => accelerators.includes(accelerator))
  const has = features.filter(
    ({ arches, beyond }) => (arches === null || arches.includes(arch)) && !(beyond === true && scope === 'daemon'),
  )
  return tree('guest', {}, [
    leaf('os_type', 'hvm'),
    tree('arch', { name: arch }, [
      leaf('wordsize', wordSizeBits[arch] ?? 32),
      leaf('emulator', binary),
      ...machineElements(machines),
      ...types.map(({ type }) => tree('domain', { type })),
    ]),
    tree(
      'features',
      {},
      has.map(({ name, attributes }) => tree(name, attributes)),
    ),
  ])
}

function machineElements(machines: readonly GuestMachine[]): readonly XmlElement[] {
  // Clients take the first machine for the default one.
  const sorted = [...machines.filter((known) => known.isDefault), ...machines.filter((known) => !known.isDefault)]
  return sorted.flatMap(({ name, alias, maxCpus }) => {
    const maximum = { maxCpus: maxCpus > 0 ? maxCpus : undefined }
    const full = leaf('machine', name, maximum)
    return alias === null ? [full] : [leaf('machine', alias, { canonical: name, ...maximum }), full]
  })
}
