import { printXml } from '../xml/print-xml.ts'
import type { XmlElement } from '../xml/xml-node.ts'
import type {
  CapabilityEnum,
  CapabilityGroup,
  CpuCapabilities,
  CustomCpu,
  DomainCapabilities,
  FeatureCapability,
  NamedCpu,
  SevCapability,
} from './domain-capabilities.ts'
import { sgxElement } from './format-emulator-document.ts'
import { leaf, tree } from './xml-tree.ts'

/** Prints `<domainCapabilities>`. */
export function formatGuestCapabilities(capabilities: DomainCapabilities): string {
  const { emulator, virtType, machine, arch, maxVcpus, firmware, loader } = capabilities
  return printXml(
    tree('domainCapabilities', {}, [
      leaf('path', emulator),
      leaf('domain', virtType),
      machine === null ? undefined : leaf('machine', machine),
      leaf('arch', arch),
      maxVcpus === null ? undefined : tree('vcpu', { max: maxVcpus }),
      tree('iothreads', { supported: yesNo(capabilities.iothreads) }),
      tree('os', { supported: 'yes' }, [
        enumElement({ name: 'firmware', values: firmware }),
        groupElement(
          loader,
          loader.paths.map((path) => leaf('value', path)),
        ),
      ]),
      cpuElement(capabilities.cpu),
      groupElement(capabilities.memoryBacking),
      tree(
        'devices',
        {},
        capabilities.devices.map((device) => groupElement(device)),
      ),
      tree('features', {}, capabilities.features.map(featureElement)),
    ]),
    { indent: 2 },
  )
}

function groupElement({ name, supported, enums }: CapabilityGroup, first: readonly XmlElement[] = []): XmlElement {
  return tree(name, { supported: yesNo(supported) }, [...first, ...enums.map(enumElement)])
}

function enumElement({ name, values }: CapabilityEnum): XmlElement {
  return tree(
    'enum',
    { name },
    values.map((value) => leaf('value', value)),
  )
}

function cpuElement({ hostPassthrough, maximum, hostModel, custom }: CpuCapabilities): XmlElement {
  return tree('cpu', {}, [
    modeElement(hostPassthrough.name, hostPassthrough.supported, hostPassthrough.enums.map(enumElement)),
    modeElement(maximum.name, maximum.supported, maximum.enums.map(enumElement)),
    modeElement('host-model', hostModel !== null, hostModel === null ? [] : hostModelElements(hostModel)),
    modeElement('custom', custom.length > 0, custom.flatMap(customElements)),
  ])
}

function modeElement(name: string, supported: boolean, children: readonly XmlElement[]): XmlElement {
  return tree('mode', { name, supported: yesNo(supported) }, children)
}

function hostModelElements(cpu: NamedCpu): readonly XmlElement[] {
  const limit = cpu.physicalBitsLimit
  return [
    leaf('model', cpu.model, { fallback: cpu.fallback }),
    ...(cpu.vendor === null ? [] : [leaf('vendor', cpu.vendor)]),
    ...(limit === null ? [] : [tree('maxphysaddr', { mode: 'passthrough', limit })]),
    ...cpu.features.map(({ policy, name }) => tree('feature', { policy, name })),
  ]
}

function customElements(cpu: CustomCpu): readonly XmlElement[] {
  const model = leaf('model', cpu.name, {
    usable: cpu.usable,
    deprecated: cpu.deprecated ? 'yes' : undefined,
    vendor: cpu.vendor,
    canonical: cpu.canonical ?? undefined,
  })
  if (cpu.blockers.length === 0) return [model]
  const blockers = cpu.blockers.map((name) => tree('feature', { name }))
  return [model, tree('blockers', { model: cpu.name }, blockers)]
}

function featureElement(feature: FeatureCapability): XmlElement {
  switch (feature.kind) {
    case 'group':
      return groupElement(feature)
    case 'sev':
      return sevElement(feature.sev)
    case 'sgx':
      return sgxElement(feature.sgx)
  }
}

function sevElement(sev: SevCapability): XmlElement {
  return tree('sev', { supported: 'yes' }, [
    leaf('cbitpos', sev.cBitPosition),
    leaf('reducedPhysBits', sev.reducedPhysicalBits),
    leaf('maxGuests', sev.maxGuests),
    leaf('maxESGuests', sev.maxEncryptedStateGuests),
    ...(sev.cpu0Id === null ? [] : [leaf('cpu0Id', sev.cpu0Id)]),
  ])
}

function yesNo(value: boolean): 'yes' | 'no' {
  return value ? 'yes' : 'no'
}
