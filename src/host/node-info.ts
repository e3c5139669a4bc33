import type { NodeInfo } from '../driver/host-facts.ts'
import { readCpuMhz } from './host-cpu.ts'
import { parseCpuList } from './parse-cpu-list.ts'
import type { ReadHostText } from './read-host-text.ts'

const cpuDirectory = '/sys/devices/system/cpu'
const nodeDirectory = '/sys/devices/system/node'

interface CpuPlace {
  readonly node: number
  readonly socket: string
  readonly core: string
}

/**
 * The machine's size from /proc and /sys. `nodes * sockets * cores * threads` is the number of CPUs when all parts are alike; on an
 * uneven machine (CPUs offline, hybrid cores) the answer is one node and one socket with as many cores as CPUs, as clients expect.
 */
export function readNodeInfo(read: ReadHostText, architecture: string): NodeInfo {
  const online = parseCpuList(read(`${cpuDirectory}/online`) ?? '0')
  const nodes = parseCpuList(read(`${nodeDirectory}/online`) ?? '0')
  const nodeOf = new Map<number, number>()
  for (const node of nodes) {
    for (const cpu of parseCpuList(read(`${nodeDirectory}/node${node}/cpulist`) ?? '')) nodeOf.set(cpu, node)
  }
  const places = online.map((cpu): CpuPlace => {
    const node = nodeOf.get(cpu) ?? 0
    const socket = `${node}/${topology(read, cpu, 'physical_package_id')}`
    return { node, socket, core: `${socket}/${topology(read, cpu, 'core_id')}` }
  })
  const shape = {
    nodes: Math.max(1, new Set(places.map(({ node }) => node)).size),
    sockets: mostParts(places, (place) => [place.node, place.socket]),
    cores: mostParts(places, (place) => [place.socket, place.core]),
    threads: mostParts(
      places.map((place, index) => ({ ...place, index })),
      (place) => [place.core, place.index],
    ),
  }
  const even = shape.nodes * shape.sockets * shape.cores * shape.threads === online.length
  return {
    model: architecture,
    memoryKib: readMemoryKib(read),
    cpus: online.length,
    mhz: readCpuMhz(read),
    ...(even ? shape : { nodes: 1, sockets: 1, cores: online.length, threads: 1 }),
  }
}

/** MemTotal of /proc/meminfo, in KiB; 0 when it cannot be read. */
export function readMemoryKib(read: ReadHostText): bigint {
  const match = /^MemTotal:\s+(\d+) kB$/m.exec(read('/proc/meminfo') ?? '')
  return BigInt(match?.[1] ?? '0')
}

function topology(read: ReadHostText, cpu: number, file: string): string {
  return read(`${cpuDirectory}/cpu${cpu}/topology/${file}`)?.trim() ?? '0'
}

/** The largest number of different parts that one whole has. */
function mostParts<Item>(
  items: readonly Item[],
  split: (item: Item) => readonly [whole: unknown, part: unknown],
): number {
  const parts = new Map<unknown, Set<unknown>>()
  for (const item of items) {
    const [whole, part] = split(item)
    const seen = parts.get(whole) ?? new Set()
    seen.add(part)
    parts.set(whole, seen)
  }
  return Math.max(1, ...[...parts.values()].map((set) => set.size))
}
