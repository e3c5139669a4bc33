import { parseXml } from '../xml/parse-xml.ts'
import { childOf, childrenOf, type XmlElement } from '../xml/xml-node.ts'
import {
  absent,
  bigintAttribute,
  count,
  optionalAttribute,
  optionalYesNo,
  parsed,
  refuseDocument,
  requiredAttribute,
  switchedOn,
  textOfChild,
  wholeNumber,
  yesNo,
} from './document-reader.ts'
import type {
  Accelerator,
  AcceleratorDocument,
  CpuDocument,
  CpuProperty,
  EmulatorDocument,
  GicVersion,
  HostCpuDocument,
  MachineDocument,
  SevDocument,
  SgxDocument,
} from './emulator-document.ts'

/** In the order of the document. */
const acceleratorTypes = ['kvm', 'hvf', 'tcg'] as const

/** Elements that a document may hold, in either layout; any other is refused. */
const knownElements: ReadonlySet<string> = new Set([
  ...['emulator', 'qemuctime', 'selfctime', 'selfvers', 'flag', 'version', 'kvmVersion', 'microcodeVersion', 'package'],
  ...['arch', 'hostCPU', 'cpu', 'machine', 'gic', 'sev', 'sgx', 'hypervCapabilities'],
])

/**
 * Reads a capability document, of either layout: what `formatEmulatorDocument` prints gives the same document again. Throws
 * DefinitionError (rule `emulator-document`) that names the element and quotes the value; XmlError where it is no XML.
 */
export function parseEmulatorDocument(text: string): EmulatorDocument {
  const root = parseXml(text)
  if (root.name !== 'qemuCaps') refuseDocument(root.name, `it is <${root.name}>, it must be <qemuCaps>`)
  for (const { name } of childrenOf(root)) {
    if (!knownElements.has(name)) refuseDocument(`qemuCaps/${name}`, `the element <${name}> is not known`)
  }
  return {
    emulator: textOfChild(root, 'emulator'),
    emulatorChangedS: bigintOf(root, 'qemuctime'),
    daemonChangedS: bigintOf(root, 'selfctime'),
    daemonVersion: wholeNumber(textOfChild(root, 'selfvers'), 'selfvers'),
    flags: childrenOf(root, 'flag').map((flag) => requiredAttribute(flag, 'name')),
    version: wholeNumber(textOfChild(root, 'version'), 'version'),
    microcodeVersion: wholeNumber(textOfChild(root, 'microcodeVersion'), 'microcodeVersion'),
    package: textOfChild(root, 'package'),
    arch: textOfChild(root, 'arch'),
    accelerators: acceleratorsOf(root),
    gic: childrenOf(root, 'gic').map(gicOf),
    sev: parsed(childOf(root, 'sev'), sevOf),
    sgx: parsed(childOf(root, 'sgx'), sgxOf),
    hyperv: parsed(childOf(root, 'hypervCapabilities'), (element) =>
      childrenOf(element, 'cap').map((cap) => requiredAttribute(cap, 'name')),
    ),
  }
}

function bigintOf(root: XmlElement, name: string): bigint {
  return BigInt(wholeNumber(textOfChild(root, name), name))
}

/** An accelerator that lists nothing leaves no trace in a document: then it is not there. */
function acceleratorsOf(root: XmlElement): readonly AcceleratorDocument[] {
  const named = ['hostCPU', 'cpu', 'machine'].flatMap((name) => childrenOf(root, name))
  const groups = Map.groupBy(named, acceleratorTypeOf)
  return acceleratorTypes.flatMap((type) => {
    const members = groups.get(type)
    if (members === undefined) return []
    const of = (name: string): readonly XmlElement[] => members.filter((each) => each.name === name)
    const [hostCpu, second] = of('hostCPU')
    if (second !== undefined) refuseDocument('qemuCaps/hostCPU', `there is more than one of type "${type}"`)
    return [
      {
        type,
        hostCpu: parsed(hostCpu, hostCpuOf),
        cpus: of('cpu').map(cpuOf),
        machines: of('machine').map(machineOf),
      },
    ]
  })
}

function acceleratorTypeOf(element: XmlElement): Accelerator {
  const stated = requiredAttribute(element, 'type')
  const found = acceleratorTypes.find((type) => type === stated)
  if (found !== undefined) return found
  return refuseDocument(`qemuCaps/${element.name}/@type`, `"${stated}" must be one of ${acceleratorTypes.join(', ')}`)
}

function hostCpuOf(element: XmlElement): HostCpuDocument {
  const deprecated = childOf(element, 'deprecatedFeatures')
  return {
    model: requiredAttribute(element, 'model'),
    migratability: yesNo(element, 'migratability'),
    properties: childrenOf(element, 'property').map(propertyOf),
    deprecatedFeatures: childrenOf(deprecated ?? absent, 'property').map((each) => requiredAttribute(each, 'name')),
  }
}

function propertyOf(element: XmlElement): CpuProperty {
  const name = requiredAttribute(element, 'name')
  const type = requiredAttribute(element, 'type')
  const value = requiredAttribute(element, 'value')
  const migratable = optionalYesNo(element, 'migratable')
  switch (type) {
    case 'boolean': {
      if (value === 'true' || value === 'false') return { name, value: value === 'true', migratable }
      return refuseDocument('qemuCaps/hostCPU/property', `property "${name}" is "${value}", it must be true or false`)
    }
    case 'number': {
      if (/^-?\d+$/.test(value)) return { name, value: BigInt(value), migratable }
      return refuseDocument('qemuCaps/hostCPU/property', `property "${name}" is "${value}", it must be a whole number`)
    }
    case 'string':
      return { name, value, migratable }
    default:
      return refuseDocument('qemuCaps/hostCPU/property', `property "${name}" has the unknown type "${type}"`)
  }
}

function cpuOf(element: XmlElement): CpuDocument {
  return {
    name: requiredAttribute(element, 'name'),
    typeName: optionalAttribute(element, 'typename'),
    usable: optionalYesNo(element, 'usable'),
    blockers: childrenOf(element, 'blocker').map((blocker) => requiredAttribute(blocker, 'name')),
    deprecated: switchedOn(element, 'deprecated'),
  }
}

function machineOf(element: XmlElement): MachineDocument {
  return {
    name: requiredAttribute(element, 'name'),
    alias: optionalAttribute(element, 'alias'),
    hotplugCpus: switchedOn(element, 'hotplugCpus'),
    maxCpus: count(element, 'maxCpus'),
    isDefault: switchedOn(element, 'default'),
    defaultCpu: optionalAttribute(element, 'defaultCPU'),
    numaMemory: switchedOn(element, 'numaMemSupported'),
    defaultRamId: optionalAttribute(element, 'defaultRAMid'),
    deprecated: switchedOn(element, 'deprecated'),
    acpi: optionalYesNo(element, 'acpi'),
  }
}

function gicOf(element: XmlElement): GicVersion {
  return {
    version: count(element, 'version'),
    kernel: yesNo(element, 'kernel'),
    emulated: yesNo(element, 'emulated'),
  }
}

function sevOf(element: XmlElement): SevDocument {
  const number = (name: string): number => wholeNumber(textOfChild(element, name), `sev/${name}`)
  return {
    cBitPosition: number('cbitpos'),
    reducedPhysicalBits: number('reducedPhysBits'),
    pdh: textOfChild(element, 'pdh'),
    certChain: textOfChild(element, 'certChain'),
    cpu0Id: childOf(element, 'cpu0Id') === undefined ? null : textOfChild(element, 'cpu0Id'),
  }
}

function sgxOf(element: XmlElement): SgxDocument {
  const flag = (name: string): boolean => {
    const value = textOfChild(element, name)
    if (value === 'yes' || value === 'no') return value === 'yes'
    return refuseDocument(`qemuCaps/sgx/${name}`, `"${value}" must be yes or no`)
  }
  const sections = childrenOf(childOf(element, 'sections') ?? absent, 'section')
  return {
    flc: flag('flc'),
    sgx1: flag('sgx1'),
    sgx2: flag('sgx2'),
    sectionSizeKib: BigInt(wholeNumber(textOfChild(element, 'section_size'), 'sgx/section_size')),
    sections: sections.map((section) => ({ node: count(section, 'node'), sizeKib: bigintAttribute(section, 'size') })),
  }
}
