import type { HostCpuSeat, Interconnect, MemorySideCache, NumaCell } from '../conf/host-document.ts'
import { type HostFiles, numberedEntries, readNumber } from './host-files.ts'
import { parseCpuList } from './parse-cpu-list.ts'

const cpuDirectory = '/sys/devices/system/cpu'
const nodeDirectory = '/sys/devices/system/node'

/** Memory of a node: what only the kernel's own tables say, and recorded machines state otherwise. */
export interface NodeMemory {
  readonly memoryKib: bigint
  readonly pages: NumaCell['pages']
}

/** NUMA nodes that are online with their CPUs, from /sys; a machine that shows none is one node. */
export function readNumaCells(files: HostFiles, memoryOf: (node: number) => NodeMemory): readonly NumaCell[] {
  const online = files.read(`${cpuDirectory}/online`)
  const isOnline = new Set(parseCpuList(online ?? '0'))
  const nodes = parseCpuList(files.read(`${nodeDirectory}/online`) ?? '')
  if (nodes.length === 0) {
    const cpus = [...isOnline].map((id) => readSeat(files, id))
    return [{ id: 0, ...memoryOf(0), distances: [], caches: [], cpus }]
  }
  return nodes.map((id) => ({
    id,
    ...memoryOf(id),
    distances: readDistances(files, { id, nodes }),
    caches: readMemoryCaches(files, id),
    cpus: parseCpuList(files.read(`${nodeDirectory}/node${id}/cpulist`) ?? '')
      .filter((cpu) => isOnline.has(cpu))
      .map((cpu) => readSeat(files, cpu)),
  }))
}

/** How fast CPUs of one node reach the memory of another, from the firmware's HMAT: latencies first. */
export function readInterconnects(files: HostFiles): readonly Interconnect[] {
  const nodes = parseCpuList(files.read(`${nodeDirectory}/online`) ?? '')
  const initiators = nodes.filter((id) => files.list(`${nodeDirectory}/node${id}/access1/targets`).length > 0)
  const pairs = initiators.flatMap((initiator) =>
    numberedEntries(files, { directory: `${nodeDirectory}/node${initiator}/access1/targets`, prefix: 'node' }).map(
      (target) => ({ initiator, target }),
    ),
  )
  return (['latency', 'bandwidth'] as const).flatMap((kind) =>
    pairs.flatMap(({ initiator, target }) =>
      (['read', 'write'] as const).flatMap((access) => {
        const value = readNumber(files, `${nodeDirectory}/node${target}/access1/initiators/${access}_${kind}`)
        // The kernel states bandwidth in MiB a second.
        const scale = kind === 'bandwidth' ? 1024n : 1n
        return value === null || value === 0 ? [] : [{ kind, initiator, target, access, value: BigInt(value) * scale }]
      }),
    ),
  )
}

function readSeat(files: HostFiles, id: number): HostCpuSeat {
  const directory = `${cpuDirectory}/cpu${id}/topology`
  const number = (name: string): number => readNumber(files, `${directory}/${name}`) ?? 0
  return {
    id,
    socketId: number('physical_package_id'),
    dieId: number('die_id'),
    clusterId: number('cluster_id'),
    coreId: number('core_id'),
    siblings: files.read(`${directory}/thread_siblings_list`)?.trim() ?? String(id),
  }
}

function readDistances(
  files: HostFiles,
  { id, nodes }: { readonly id: number; readonly nodes: readonly number[] },
): NumaCell['distances'] {
  const values = (files.read(`${nodeDirectory}/node${id}/distance`) ?? '').trim().split(/\s+/).map(Number)
  return nodes.flatMap((node, at) => {
    const value = values[at] ?? 0
    return value > 0 ? [{ id: node, value }] : []
  })
}

// As the kernel documents memory_side_cache: indexing 0 direct-mapped, 1 otherwise; write_policy 0 back, 1 through.
const associativities: Readonly<Record<string, MemorySideCache['associativity']>> = { '0': 'direct', '1': 'full' }
const policies: Readonly<Record<string, MemorySideCache['policy']>> = { '0': 'writeback', '1': 'writethrough' }

function readMemoryCaches(files: HostFiles, node: number): readonly MemorySideCache[] {
  const directory = `${nodeDirectory}/node${node}/memory_side_cache`
  return numberedEntries(files, { directory, prefix: 'index' }).map((level) => {
    const text = (name: string): string => files.read(`${directory}/index${level}/${name}`)?.trim() ?? ''
    const number = (name: string): bigint => BigInt(readNumber(files, `${directory}/index${level}/${name}`) ?? 0)
    return {
      level,
      associativity: associativities[text('indexing')] ?? 'none',
      policy: policies[text('write_policy')] ?? 'none',
      sizeBytes: number('size'),
      lineBytes: number('line_size'),
    }
  })
}
