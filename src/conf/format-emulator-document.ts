import { printXml } from '../xml/print-xml.ts'
import type { XmlElement } from '../xml/xml-node.ts'
import type {
  Accelerator,
  AcceleratorDocument,
  CpuDocument,
  DocumentFormat,
  EmulatorDocument,
  HostCpuDocument,
  MachineDocument,
  SevDocument,
  SgxDocument,
} from './emulator-document.ts'
import { type Attributes, leaf, tree } from './xml-tree.ts'

/** Prints a capability document, laid out as libvirt caches it. */
export function formatEmulatorDocument(document: EmulatorDocument, format: DocumentFormat): string {
  const { accelerators } = document
  return printXml(
    tree('qemuCaps', {}, [
      leaf('emulator', document.emulator),
      leaf('qemuctime', String(document.emulatorChangedS)),
      leaf('selfctime', String(document.daemonChangedS)),
      leaf('selfvers', String(document.daemonVersion)),
      ...document.flags.map((name) => tree('flag', { name })),
      leaf('version', String(document.version)),
      ...(format === '9.0.0' ? [leaf('kvmVersion', '0')] : []),
      leaf('microcodeVersion', String(document.microcodeVersion)),
      textElement('package', document.package),
      leaf('arch', document.arch),
      ...accelerators.flatMap((each) => acceleratorElements(each, format)),
      ...document.gic.map(({ version, kernel, emulated }) =>
        tree('gic', { version: String(version), kernel: yesNo(kernel), emulated: yesNo(emulated) }),
      ),
      ...(document.sev === null ? [] : [sevElement(document.sev)]),
      ...(document.sgx === null ? [] : [sgxElement(document.sgx)]),
      ...(document.hyperv === null ? [] : [hypervElement(document.hyperv)]),
    ]),
    { indent: 2 },
  )
}

function acceleratorElements(
  { type, hostCpu, cpus, machines }: AcceleratorDocument,
  format: DocumentFormat,
): readonly XmlElement[] {
  return [
    ...(hostCpu === null ? [] : [hostCpuElement(type, hostCpu)]),
    ...cpus.map((cpu) => cpuElement(type, cpu)),
    ...machines.map((machine) => tree('machine', machineAttributes(machine, { type, format }))),
  ]
}

function hostCpuElement(type: Accelerator, cpu: HostCpuDocument): XmlElement {
  const properties = cpu.properties.map(({ name, value, migratable }) =>
    tree('property', {
      name,
      type: typeof value === 'bigint' ? 'number' : typeof value,
      value: String(value),
      migratable: migratable === null ? undefined : yesNo(migratable),
    }),
  )
  const deprecated = cpu.deprecatedFeatures.map((name) => tree('property', { name }))
  const all = deprecated.length === 0 ? properties : [...properties, tree('deprecatedFeatures', {}, deprecated)]
  const attributes = { type, model: cpu.model, migratability: yesNo(cpu.migratability) }
  return { ...tree('hostCPU', attributes, all), open: true }
}

function cpuElement(type: Accelerator, cpu: CpuDocument): XmlElement {
  const attributes = {
    type,
    name: cpu.name,
    typename: cpu.typeName ?? undefined,
    usable: cpu.usable === null ? undefined : yesNo(cpu.usable),
    deprecated: cpu.deprecated ? 'yes' : undefined,
  }
  return tree(
    'cpu',
    attributes,
    cpu.blockers.map((name) => tree('blocker', { name })),
  )
}

function machineAttributes(
  machine: MachineDocument,
  { type, format }: { readonly type: Accelerator; readonly format: DocumentFormat },
): Attributes {
  const newer = format === '11.3.0'
  return {
    type,
    name: machine.name,
    alias: machine.alias ?? undefined,
    hotplugCpus: machine.hotplugCpus ? 'yes' : undefined,
    maxCpus: String(machine.maxCpus),
    default: machine.isDefault ? 'yes' : undefined,
    defaultCPU: machine.defaultCpu ?? undefined,
    numaMemSupported: machine.numaMemory ? 'yes' : undefined,
    defaultRAMid: machine.defaultRamId ?? undefined,
    deprecated: machine.deprecated ? 'yes' : undefined,
    acpi: !newer || machine.acpi === null ? undefined : yesNo(machine.acpi),
  }
}

function sevElement(sev: SevDocument): XmlElement {
  return tree('sev', {}, [
    leaf('cbitpos', String(sev.cBitPosition)),
    leaf('reducedPhysBits', String(sev.reducedPhysicalBits)),
    leaf('pdh', sev.pdh),
    leaf('certChain', sev.certChain),
    ...(sev.cpu0Id === null ? [] : [leaf('cpu0Id', sev.cpu0Id)]),
  ])
}

/** Memory that is kept from everything but the program in it, as both the capability document and the domain capabilities have it. */
export function sgxElement(sgx: SgxDocument): XmlElement {
  const sections = sgx.sections.map(({ node, sizeKib }) =>
    tree('section', { node: String(node), size: String(sizeKib), unit: 'KiB' }),
  )
  return tree('sgx', { supported: 'yes' }, [
    leaf('flc', yesNo(sgx.flc)),
    leaf('sgx1', yesNo(sgx.sgx1)),
    leaf('sgx2', yesNo(sgx.sgx2)),
    leaf('section_size', String(sgx.sectionSizeKib), { unit: 'KiB' }),
    ...(sections.length === 0 ? [] : [tree('sections', {}, sections)]),
  ])
}

function hypervElement(names: readonly string[]): XmlElement {
  return tree(
    'hypervCapabilities',
    { supported: 'yes' },
    names.map((name) => tree('cap', { name })),
  )
}

/** Written with both tags even where the text is empty. */
function textElement(name: string, text: string): XmlElement {
  return tree(name, {}, [{ kind: 'text', text }])
}

function yesNo(value: boolean): 'yes' | 'no' {
  return value ? 'yes' : 'no'
}
