import type { ReadHostText } from './read-host-text.ts'
import { parseCpuList } from './parse-cpu-list.ts'

/** A CPU that is online and where it sits. */
export interface CpuPlace {
  readonly id: number
  readonly socketId: number
  readonly dieId: number
  readonly coreId: number
  /** Threads of its core, as the kernel writes the list (`0-1`). */
  readonly siblings: string
}

/** A NUMA node with its memory and CPUs; a machine without NUMA is one node. */
export interface HostNode {
  readonly id: number
  readonly memoryKib: bigint
  readonly cpus: readonly CpuPlace[]
}

const cpuDirectory = '/sys/devices/system/cpu'
const nodeDirectory = '/sys/devices/system/node'

/** NUMA nodes from /sys; where it shows none, one node with all of /proc/meminfo. */
export function readHostTopology(read: ReadHostText): readonly HostNode[] {
  const online = parseCpuList(read(`${cpuDirectory}/online`) ?? '0')
  const nodes = parseCpuList(read(`${nodeDirectory}/online`) ?? '')
  if (nodes.length === 0)
    return [{ id: 0, memoryKib: memoryOf(read('/proc/meminfo')), cpus: online.map((id) => placeOf(read, id)) }]
  return nodes.map((id) => {
    const cpus = parseCpuList(read(`${nodeDirectory}/node${id}/cpulist`) ?? '').filter((cpu) => online.includes(cpu))
    return {
      id,
      memoryKib: memoryOf(read(`${nodeDirectory}/node${id}/meminfo`)),
      cpus: cpus.map((cpu) => placeOf(read, cpu)),
    }
  })
}

function placeOf(read: ReadHostText, id: number): CpuPlace {
  const directory = `${cpuDirectory}/cpu${id}/topology`
  const number = (name: string): number => Math.max(0, Number.parseInt(read(`${directory}/${name}`) ?? '0', 10) || 0)
  return {
    id,
    socketId: number('physical_package_id'),
    dieId: number('die_id'),
    coreId: number('core_id'),
    siblings: read(`${directory}/thread_siblings_list`)?.trim() ?? String(id),
  }
}

function memoryOf(meminfo: string | null): bigint {
  return BigInt(/MemTotal:\s+(\d+) kB/.exec(meminfo ?? '')?.[1] ?? '0')
}
