import { printXml } from '../xml/print-xml.ts'
import type { XmlElement } from '../xml/xml-node.ts'
import type { EmulatorFacts, EmulatorMachine } from './emulator-facts.ts'
import { leaf, tree } from './xml-tree.ts'

/** What the capabilities document says of the host. Parts that are not known are absent and not printed. */
export interface HostDescription {
  readonly uuid: string
  readonly arch: string
  readonly cpuModel?: string
  readonly cpuVendor?: string
  readonly cpuFeatures?: readonly string[]
  readonly microcode?: string
  readonly topology: {
    readonly sockets: number
    readonly dies: number
    readonly cores: number
    readonly threads: number
  }
  readonly cells: readonly HostCell[]
}

/** A NUMA node of the host. */
export interface HostCell {
  readonly id: number
  readonly memoryKib: bigint
  readonly cpus: readonly HostCpuPlace[]
}

/** Where a CPU of the host sits; `siblings` is the list of threads of its core, as the kernel writes it (`0-1`). */
export interface HostCpuPlace {
  readonly id: number
  readonly socketId: number
  readonly dieId: number
  readonly coreId: number
  readonly siblings: string
}

const wordSizeBits: Readonly<Record<string, 32 | 64>> = {
  aarch64: 64,
  alpha: 64,
  hppa: 32,
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

/** Prints `<capabilities>`: the host and every emulator that can be used on it. */
export function formatCapabilities(host: HostDescription, emulators: readonly EmulatorFacts[]): string {
  return printXml(tree('capabilities', {}, [hostElement(host), ...emulators.map(guestElement)]), { indent: 2 })
}

function hostElement(host: HostDescription): XmlElement {
  const { cells } = host
  const cpu = tree('cpu', {}, [
    leaf('arch', host.arch),
    host.cpuModel === undefined ? undefined : leaf('model', host.cpuModel),
    host.cpuVendor === undefined ? undefined : leaf('vendor', host.cpuVendor),
    host.microcode === undefined ? undefined : tree('microcode', { version: host.microcode }),
    tree('topology', host.topology),
    ...(host.cpuFeatures ?? []).map((name) => tree('feature', { name })),
  ])
  return tree('host', {}, [
    leaf('uuid', host.uuid),
    cpu,
    tree('power_management'),
    tree('topology', {}, [tree('cells', { num: cells.length }, cells.map(cellElement))]),
    tree('secmodel', {}, [leaf('model', 'none'), leaf('doi', '0')]),
  ])
}

function cellElement(cell: HostCell): XmlElement {
  const cpus = cell.cpus.map(({ id, socketId, dieId, coreId, siblings }) =>
    tree('cpu', { id, socket_id: socketId, die_id: dieId, core_id: coreId, siblings }),
  )
  return tree('cell', { id: cell.id }, [
    leaf('memory', cell.memoryKib, { unit: 'KiB' }),
    tree('cpus', { num: cpus.length }, cpus),
  ])
}

function machineElements(machines: readonly EmulatorMachine[]): XmlElement[] {
  // Clients take the first machine for the default one.
  const sorted = [...machines.filter((known) => known.isDefault), ...machines.filter((known) => !known.isDefault)]
  return sorted.flatMap(({ name, alias, maxCpus }) => {
    const maximum = { maxCpus: maxCpus > 0 ? maxCpus : undefined }
    const full = leaf('machine', name, maximum)
    return alias === undefined ? [full] : [leaf('machine', alias, { canonical: name, ...maximum }), full]
  })
}

function guestElement(facts: EmulatorFacts): XmlElement {
  const x86 = facts.arch === 'x86_64' || facts.arch === 'i686'
  const acpi = x86 || facts.arch === 'aarch64'
  return tree('guest', {}, [
    leaf('os_type', 'hvm'),
    tree('arch', { name: facts.arch }, [
      leaf('wordsize', wordSizeBits[facts.arch] ?? 32),
      leaf('emulator', facts.binary),
      ...machineElements(facts.machines),
      ...facts.virtTypes.map((type) => tree('domain', { type })),
    ]),
    tree('features', {}, [
      acpi ? tree('acpi', { default: 'on', toggle: 'yes' }) : undefined,
      x86 ? tree('apic', { default: 'on', toggle: 'no' }) : undefined,
      facts.arch === 'i686' ? tree('pae') : undefined,
      facts.arch === 'i686' ? tree('nonpae') : undefined,
      tree('cpuselection'),
      tree('deviceboot'),
      tree('disksnapshot', { default: 'on', toggle: 'no' }),
    ]),
  ])
}
