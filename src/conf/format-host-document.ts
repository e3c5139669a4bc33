import type { XmlElement, XmlNode } from '../xml/xml-node.ts'
import type {
  BandwidthNode,
  CacheBank,
  CpuCounter,
  HostCpuPart,
  HostDocument,
  Interconnect,
  MemorySideCache,
  NumaCell,
  ResourceMonitor,
  SecurityModel,
} from './host-document.ts'
import { leaf, tree } from './xml-tree.ts'

const kib = 1024n
const units = [
  { unit: 'TiB', bytes: kib ** 4n },
  { unit: 'GiB', bytes: kib ** 3n },
  { unit: 'MiB', bytes: kib ** 2n },
  { unit: 'KiB', bytes: kib },
  { unit: 'B', bytes: 1n },
] as const

/** The `<host>` element of the capabilities. */
export function hostElement(host: HostDocument): XmlElement {
  return tree('host', {}, [
    host.uuid === undefined ? undefined : leaf('uuid', host.uuid),
    cpuElement(host.cpu),
    tree(
      'power_management',
      {},
      host.powerManagement.map((state) => tree(state)),
    ),
    host.iommu === undefined ? undefined : tree('iommu', { support: host.iommu ? 'yes' : 'no' }),
    host.migration === undefined ? undefined : migrationElement(host.migration),
    host.cells === undefined || host.cells.length === 0
      ? undefined
      : topologyElement(host.cells, host.interconnects ?? []),
    cacheElement(host.cacheBanks ?? [], host.cacheMonitor),
    bandwidthElement(host.memoryBandwidth ?? [], host.bandwidthMonitor),
    ...(host.securityModels ?? []).map(securityElement),
  ])
}

function cpuElement(cpu: HostCpuPart): XmlElement {
  return tree('cpu', {}, [
    leaf('arch', cpu.arch),
    cpu.model === undefined ? undefined : leaf('model', cpu.model),
    cpu.vendor === undefined ? undefined : leaf('vendor', cpu.vendor),
    cpu.microcode === undefined ? undefined : tree('microcode', { version: cpu.microcode }),
    cpu.signature === undefined ? undefined : tree('signature', cpu.signature),
    cpu.counter === undefined ? undefined : counterElement(cpu.counter),
    cpu.topology === undefined ? undefined : tree('topology', { ...cpu.topology }),
    cpu.physicalBits === undefined ? undefined : tree('maxphysaddr', { mode: 'emulate', bits: cpu.physicalBits }),
    ...(cpu.features ?? []).map((name) => tree('feature', { name })),
    ...(cpu.pagesKib ?? []).map((size) => tree('pages', { unit: 'KiB', size })),
  ])
}

function counterElement({ name, frequencyHz, isScalable }: CpuCounter): XmlElement {
  return tree('counter', { name, frequency: frequencyHz, scaling: isScalable ? 'yes' : 'no' })
}

function migrationElement({ live, uriTransports }: NonNullable<HostDocument['migration']>): XmlElement {
  const transports = uriTransports.map((name) => leaf('uri_transport', name))
  return tree('migration_features', {}, [
    live ? tree('live') : undefined,
    transports.length === 0 ? undefined : tree('uri_transports', {}, transports),
  ])
}

function topologyElement(cells: readonly NumaCell[], interconnects: readonly Interconnect[]): XmlElement {
  return tree('topology', {}, [
    tree('cells', { num: cells.length }, cells.map(cellElement)),
    interconnects.length === 0 ? undefined : tree('interconnects', {}, interconnects.map(interconnectElement)),
  ])
}

function cellElement(cell: NumaCell): XmlElement {
  const cpus = cell.cpus.map(({ id, socketId, dieId, clusterId, coreId, siblings }) =>
    tree('cpu', { id, socket_id: socketId, die_id: dieId, cluster_id: clusterId, core_id: coreId, siblings }),
  )
  const distances = cell.distances.map(({ id, value }) => tree('sibling', { id, value }))
  return tree('cell', { id: cell.id }, [
    leaf('memory', cell.memoryKib, { unit: 'KiB' }),
    ...cell.pages.map(({ sizeKib, count }) => leaf('pages', count, { unit: 'KiB', size: sizeKib })),
    distances.length === 0 ? undefined : tree('distances', {}, distances),
    ...cell.caches.map(memoryCacheElement),
    tree('cpus', { num: cpus.length }, cpus),
  ])
}

function memoryCacheElement({ level, associativity, policy, sizeBytes, lineBytes }: MemorySideCache): XmlElement {
  return tree('cache', { level, associativity, policy }, [
    tree('size', { value: sizeBytes / kib, unit: 'KiB' }),
    tree('line', { value: lineBytes, unit: 'B' }),
  ])
}

function interconnectElement({ kind, initiator, target, access, value }: Interconnect): XmlElement {
  const unit = kind === 'bandwidth' ? 'KiB' : undefined
  return tree(kind, { initiator, target, type: access, value, unit })
}

function cacheElement(banks: readonly CacheBank[], monitor: ResourceMonitor | undefined): XmlElement | undefined {
  if (banks.length === 0 && monitor === undefined) return undefined
  return tree('cache', {}, [...banks.map(bankElement), monitorElement(monitor)])
}

function bankElement({ id, level, kind, sizeBytes, cpus, controls }: CacheBank): XmlElement {
  const [size, unit] = rounded(sizeBytes)
  const children = controls.map(({ kind: type, granularityBytes, minBytes, maxAllocations }) => {
    const step = unitOf([granularityBytes, minBytes ?? 0n])
    const min = minBytes === undefined ? undefined : minBytes / step.bytes
    return tree('control', {
      granularity: granularityBytes / step.bytes,
      min,
      unit: step.unit,
      type,
      maxAllocs: maxAllocations,
    })
  })
  return tree('bank', { id, level, type: kind, size, unit, cpus }, children)
}

function bandwidthElement(
  nodes: readonly BandwidthNode[],
  monitor: ResourceMonitor | undefined,
): XmlElement | undefined {
  if (nodes.length === 0 && monitor === undefined) return undefined
  const children: (XmlNode | undefined)[] = nodes.map(({ id, cpus, granularity, min, maxAllocations }) =>
    tree('node', { id, cpus }, [tree('control', { granularity, min, maxAllocs: maxAllocations })]),
  )
  return tree('memory_bandwidth', {}, [...children, monitorElement(monitor)])
}

function monitorElement(monitor: ResourceMonitor | undefined): XmlElement | undefined {
  if (monitor === undefined) return undefined
  const { level, reuseThresholdBytes: reuseThreshold, maxMonitors, features } = monitor
  return tree(
    'monitor',
    { level, reuseThreshold, maxMonitors },
    features.map((name) => tree('feature', { name })),
  )
}

function securityElement({ model, doi, baseLabels }: SecurityModel): XmlElement {
  const labels = baseLabels.map(({ type, label }) => leaf('baselabel', label, { type }))
  return tree('secmodel', {}, [leaf('model', model), leaf('doi', doi), ...labels])
}

function rounded(bytes: bigint): readonly [bigint, string] {
  const { unit, bytes: step } = unitOf([bytes])
  return [bytes / step, unit]
}

/** The largest unit that divides all of them. */
function unitOf(sizes: readonly bigint[]): (typeof units)[number] {
  const found = units.find(({ bytes }) => sizes.every((size) => size % bytes === 0n) && sizes.some((size) => size > 0n))
  return found ?? { unit: 'B', bytes: 1n }
}
