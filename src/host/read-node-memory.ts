import { type HostFiles, readNumber } from './host-files.ts'
import type { NodeMemory } from './read-numa-cells.ts'

const nodeDirectory = '/sys/devices/system/node'

/** The memory of a NUMA node with its pages of each size; a machine that shows no nodes is one. */
export function readNodeMemory(files: HostFiles, node: number): NodeMemory {
  const own = files.read(`${nodeDirectory}/node${node}/meminfo`)
  const memoryKib = totalOf(own ?? files.read('/proc/meminfo'))
  const directory = own === null ? '/sys/kernel/mm/hugepages' : `${nodeDirectory}/node${node}/hugepages`
  const huge = files
    .list(directory)
    .flatMap((name) => {
      const size = /^hugepages-(\d+)kB$/.exec(name)?.[1]
      const count = readNumber(files, `${directory}/${name}/nr_hugepages`)
      return size === undefined || count === null ? [] : [{ sizeKib: BigInt(size), count: BigInt(count) }]
    })
    .toSorted((a, b) => (a.sizeKib < b.sizeKib ? -1 : 1))
  const pageKib = basePageKib(files)
  const reserved = huge.reduce((sum, { sizeKib, count }) => sum + sizeKib * count, 0n)
  const rest = memoryKib > reserved ? (memoryKib - reserved) / pageKib : 0n
  return { memoryKib, pages: [{ sizeKib: pageKib, count: rest }, ...huge] }
}

function totalOf(meminfo: string | null): bigint {
  return BigInt(/MemTotal:\s+(\d+) kB/.exec(meminfo ?? '')?.[1] ?? '0')
}

/** The kernel tells the size of its pages with every mapping of a process. */
function basePageKib(files: HostFiles): bigint {
  const text = files.read('/proc/self/smaps', 8192) ?? ''
  return BigInt(/KernelPageSize:\s+(\d+) kB/.exec(text)?.[1] ?? '4')
}
