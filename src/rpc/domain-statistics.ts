import type { DomainView, Reads } from '../commands/reads.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import type { DiskSample, DomainSample } from '../driver/driver.ts'
import type { TypedParameter } from '../protocol/typed-parameter.ts'
import { stateNumbers } from './state-numbers.ts'

/** What the figures of one domain are made of. */
export interface StatisticsSource {
  readonly domain: DomainView
  readonly definition: DomainDef
  readonly chains: ReturnType<Reads['chains']>
  /** Null while the domain is shut off, or was not sampled yet: figures that only a sample has are left out. */
  readonly sample: DomainSample | null
}

/** Groups of `virDomainStatsTypes` that are served, in the order in which they are answered. */
const groups: readonly (readonly [
  flag: number,
  parameters: (source: StatisticsSource) => readonly TypedParameter[],
])[] = [
  [1, stateParameters],
  [2, cpuParameters],
  [4, balloonParameters],
  [8, vcpuParameters],
  [16, interfaceParameters],
  [32, blockParameters],
]

/** All groups that exist; perf, iothread, memory, dirty rate and vm figures are not taken. */
export const servedStatistics = groups.reduce((flags, [flag]) => flags | flag, 0)

/** The figures of one domain; no group asked for means all of them. */
export function domainStatistics(source: StatisticsSource, wanted: number): readonly TypedParameter[] {
  const flags = wanted === 0 ? servedStatistics : wanted
  return groups.flatMap(([flag, parameters]) => ((flags & flag) === 0 ? [] : parameters(source)))
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

function cpuParameters({ sample }: StatisticsSource): readonly TypedParameter[] {
  if (sample === null) return []
  return [
    ullong('cpu.time', sample.cpuTimeNs),
    ullong('cpu.user', sample.userTimeNs),
    ullong('cpu.system', sample.systemTimeNs),
  ]
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
