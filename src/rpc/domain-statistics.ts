import type { DomainView, Reads } from '../commands/reads.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import type { DiskSample, DomainSample } from '../driver/driver.ts'
import type { MonitoredBank, ThreadMonitor } from '../driver/host-facts.ts'
import type { TypedParameter } from '../protocol/typed-parameter.ts'
import { stateNumbers } from './state-numbers.ts'

/** What the figures of one domain are made of. */
export interface StatisticsSource {
  readonly domain: DomainView
  readonly definition: DomainDef
  readonly chains: ReturnType<Reads['chains']>
  /** Null while the domain is shut off, or was not sampled yet: figures that only a sample has are left out. */
  readonly sample: DomainSample | null
  /** What the host measures of the virtual CPUs. */
  readonly monitors: readonly ThreadMonitor[]
}

/** Those of `virDomainStatsTypes` that tell what the host measures. */
const monitoredGroups = { cpu: 2, memory: 256 } as const

/** Groups of `virDomainStatsTypes` that are served, in the order in which they are answered. */
const groups: readonly (readonly [
  flag: number,
  parameters: (source: StatisticsSource) => readonly TypedParameter[],
])[] = [
  [1, stateParameters],
  [monitoredGroups.cpu, cpuParameters],
  [4, balloonParameters],
  [8, vcpuParameters],
  [16, interfaceParameters],
  [32, blockParameters],
  [monitoredGroups.memory, memoryParameters],
]

/** All groups that exist; perf, iothread, dirty rate and vm figures are not taken. */
export const servedStatistics = groups.reduce((flags, [flag]) => flags | flag, 0)

/** The figures of one domain; no group asked for means all of them. */
export function domainStatistics(source: StatisticsSource, wanted: number): readonly TypedParameter[] {
  const flags = wanted === 0 ? servedStatistics : wanted
  return groups.flatMap(([flag, parameters]) => ((flags & flag) === 0 ? [] : parameters(source)))
}

/** Whether groups are asked for that need what the host measures; no group asked for means all of them. */
export function wantsMonitors(wanted: number): boolean {
  return wanted === 0 || (wanted & (monitoredGroups.cpu | monitoredGroups.memory)) !== 0
}

function int(field: string, value: number): TypedParameter {
  return { field, value: { kind: 'int', value } }
}

function uint(field: string, value: number): TypedParameter {
  return { field, value: { kind: 'uint', value } }
}

function ullong(field: string, value: bigint): TypedParameter {
  return { field, value: { kind: 'ullong', value } }
}

function text(field: string, value: string): TypedParameter {
  return { field, value: { kind: 'string', value } }
}

function stateParameters({ domain }: StatisticsSource): readonly TypedParameter[] {
  const { state, reason } = stateNumbers(domain)
  return [int('state.state', state), int('state.reason', reason)]
}

function cpuParameters({ sample, monitors }: StatisticsSource): readonly TypedParameter[] {
  const times =
    sample === null
      ? []
      : [
          ullong('cpu.time', sample.cpuTimeNs),
          ullong('cpu.user', sample.userTimeNs),
          ullong('cpu.system', sample.systemTimeNs),
        ]
  return [...times, ...cacheMonitors(monitors)]
}

/** The figure goes over the wire in 32 bits. */
const maxUint = 2n ** 32n - 1n

function cacheMonitors(monitors: readonly ThreadMonitor[]): readonly TypedParameter[] {
  return monitorParameters(monitors, {
    prefix: 'cpu.cache.monitor',
    part: 'bank',
    figures: ({ occupancyBytes: bytes }, prefix) =>
      bytes === null ? [] : [uint(`${prefix}.bytes`, Number(bytes < maxUint ? bytes : maxUint))],
  })
}

function memoryParameters({ monitors }: StatisticsSource): readonly TypedParameter[] {
  return monitorParameters(monitors, {
    prefix: 'memory.bandwidth.monitor',
    part: 'node',
    figures: ({ localBytes, totalBytes }, prefix) => [
      ...(localBytes === null ? [] : [ullong(`${prefix}.bytes.local`, localBytes)]),
      ...(totalBytes === null ? [] : [ullong(`${prefix}.bytes.total`, totalBytes)]),
    ],
  })
}

/** Monitors with the caches or nodes of which they have figures; nothing at all where there are none. */
function monitorParameters(
  monitors: readonly ThreadMonitor[],
  of: {
    readonly prefix: string
    readonly part: 'bank' | 'node'
    readonly figures: (bank: MonitoredBank, prefix: string) => readonly TypedParameter[]
  },
): readonly TypedParameter[] {
  const told = monitors
    .map((monitor) => ({ ...monitor, banks: monitor.banks.filter((bank) => of.figures(bank, '').length > 0) }))
    .filter(({ banks }) => banks.length > 0)
  if (told.length === 0) return []
  const rows = told.flatMap(({ name, vcpus, banks }, index) => {
    const prefix = `${of.prefix}.${index}`
    const parts = banks.flatMap((bank, at) => {
      const place = `${prefix}.${of.part}.${at}`
      return [uint(`${place}.id`, bank.id), ...of.figures(bank, place)]
    })
    return [
      text(`${prefix}.name`, name),
      text(`${prefix}.vcpus`, formatRanges(vcpus)),
      uint(`${prefix}.${of.part}.count`, banks.length),
      ...parts,
    ]
  })
  return [uint(`${of.prefix}.count`, told.length), ...rows]
}

/** Ascending numbers as a list such as `0-2,5`. */
function formatRanges(numbers: readonly number[]): string {
  const ranges: { first: number; last: number }[] = []
  for (const number of numbers) {
    const range = ranges.at(-1)
    if (range !== undefined && range.last + 1 === number) range.last = number
    else ranges.push({ first: number, last: number })
  }
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',')
}

function balloonParameters({ definition, sample }: StatisticsSource): readonly TypedParameter[] {
  const maximum = definition.memory.kib
  const balloon = sample?.balloonBytes ?? null
  const current = balloon === null ? (definition.currentMemory?.kib ?? maximum) : balloon / 1024n
  const figures = [ullong('balloon.current', current), ullong('balloon.maximum', maximum)]
  return sample === null ? figures : [...figures, ullong('balloon.rss', sample.residentBytes / 1024n)]
}

function vcpuParameters({ definition }: StatisticsSource): readonly TypedParameter[] {
  const { current, count } = definition.vcpu
  return [uint('vcpu.current', current ?? count), uint('vcpu.maximum', count)]
}

function interfaceParameters({ domain, definition }: StatisticsSource): readonly TypedParameter[] {
  return domain.active ? [uint('net.count', definition.devices.interfaces.length)] : []
}

function blockParameters({ domain, definition, chains, sample }: StatisticsSource): readonly TypedParameter[] {
  const { disks } = definition.devices
  const rows = disks.flatMap(({ target, source }, index) => {
    const layer = chains.byDisk[target.dev]?.[0]
    const path = layer?.path ?? (source !== undefined && 'file' in source ? source.file : undefined)
    const figures = sample?.disks.find((one) => one.target === target.dev)
    return [
      text(`block.${index}.name`, target.dev),
      ...(path === undefined ? [] : [text(`block.${index}.path`, path)]),
      ...(layer === undefined || !domain.active ? [] : [uint(`block.${index}.backingIndex`, layer.index)]),
      ...(figures === undefined ? [] : diskParameters(`block.${index}`, figures)),
    ]
  })
  return [uint('block.count', disks.length), ...rows]
}

function diskParameters(prefix: string, disk: DiskSample): readonly TypedParameter[] {
  return [
    ullong(`${prefix}.rd.reqs`, disk.readRequests),
    ullong(`${prefix}.rd.bytes`, disk.readBytes),
    ullong(`${prefix}.rd.times`, disk.readTimeNs),
    ullong(`${prefix}.wr.reqs`, disk.writeRequests),
    ullong(`${prefix}.wr.bytes`, disk.writeBytes),
    ullong(`${prefix}.wr.times`, disk.writeTimeNs),
    ullong(`${prefix}.fl.reqs`, disk.flushRequests),
    ullong(`${prefix}.fl.times`, disk.flushTimeNs),
    ullong(`${prefix}.allocation`, disk.allocationBytes),
    ullong(`${prefix}.capacity`, disk.capacityBytes),
    ullong(`${prefix}.physical`, disk.allocationBytes),
  ]
}
