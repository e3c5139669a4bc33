import { describe, expect, test } from 'vitest'
import type { HostFiles } from '../../src/host/host-files.ts'
import { HostParts } from '../../src/host/host-parts.ts'
import { readNodeMemory } from '../../src/host/read-node-memory.ts'

const cpus = '/sys/devices/system/cpu'
const nodes = '/sys/devices/system/node'

/** A machine of two nodes with a CPU each, and a list of what was read of it. */
function twoNodes(): { readonly files: HostFiles; readonly tree: Map<string, string>; readonly reads: string[] } {
  const tree = new Map([
    [`${cpus}/online`, '0-1\n'],
    [`${nodes}/online`, '0-1\n'],
    ...[0, 1].flatMap((id): [string, string][] => [
      [`${nodes}/node${id}/cpulist`, `${id}\n`],
      [`${nodes}/node${id}/distance`, id === 0 ? '10 20\n' : '20 10\n'],
      [`${nodes}/node${id}/meminfo`, `Node ${id} MemTotal:       8192 kB\n`],
      [`${nodes}/node${id}/hugepages/hugepages-2048kB/nr_hugepages`, `${id}\n`],
      [`${cpus}/cpu${id}/topology/physical_package_id`, `${id}\n`],
      [`${cpus}/cpu${id}/topology/thread_siblings_list`, `${id}\n`],
      [`${cpus}/cpu${id}/cache/index3/level`, '3\n'],
      [`${cpus}/cpu${id}/cache/index3/id`, `${id}\n`],
      [`${cpus}/cpu${id}/cache/index3/type`, 'Unified\n'],
      [`${cpus}/cpu${id}/cache/index3/size`, '16384K\n'],
      [`${cpus}/cpu${id}/cache/index3/shared_cpu_list`, `${id}\n`],
    ]),
    ['/proc/cpuinfo', 'processor\t: 0\naddress sizes\t: 46 bits physical, 48 bits virtual\n'],
    ['/proc/self/smaps', 'Size: 4 kB\nKernelPageSize:        4 kB\n'],
    ['/sys/power/state', 'freeze mem disk\n'],
    ['/sys/power/disk', '[platform] shutdown suspend\n'],
  ])
  const reads: string[] = []
  const files: HostFiles = {
    read(path) {
      reads.push(path)
      return tree.get(path) ?? null
    },
    list(directory) {
      const below = [...tree.keys()].filter((path) => path.startsWith(`${directory}/`))
      return [...new Set(below.map((path) => path.slice(directory.length + 1).split('/')[0] ?? ''))]
    },
  }
  return { files, tree, reads }
}

describe('readNodeMemory()', () => {
  test('counts the pages that are left beside those reserved as huge ones', () => {
    const { files } = twoNodes()
    expect(readNodeMemory(files, 1)).toEqual({
      memoryKib: 8192n,
      pages: [
        { sizeKib: 4n, count: 1536n },
        { sizeKib: 2048n, count: 1n },
      ],
    })
  })

  test('a machine that shows no nodes has the memory of /proc/meminfo', () => {
    const files: HostFiles = {
      read: (path) => (path === '/proc/meminfo' ? 'MemTotal:         4096 kB\n' : null),
      list: () => [],
    }
    expect(readNodeMemory(files, 0)).toEqual({ memoryKib: 4096n, pages: [{ sizeKib: 4n, count: 1024n }] })
  })
})

describe('HostParts', () => {
  test('topology() is kept until CPUs or nodes come or go, its memory is that of now', () => {
    const { files, tree, reads } = twoNodes()
    const parts = new HostParts(files)
    expect(parts.topology().cells.map(({ cpus: seats }) => seats.map(({ socketId }) => socketId))).toEqual([[0], [1]])
    reads.length = 0
    tree.set(`${nodes}/node0/meminfo`, 'Node 0 MemTotal:      16384 kB\n')
    expect(parts.topology().cells[0]?.memoryKib).toBe(16_384n)
    expect(reads.filter((path) => path.includes('/topology/'))).toEqual([])
    tree.set(`${cpus}/online`, '0\n')
    expect(parts.topology().cells.map(({ cpus: seats }) => seats.length)).toEqual([1, 0])
  })

  test('caches() is kept until CPUs or the mount of resctrl change', () => {
    const { files, tree, reads } = twoNodes()
    const parts = new HostParts(files)
    expect(parts.caches().banks.map(({ id, controls }) => [id, controls.length])).toEqual([
      [0, 0],
      [1, 0],
    ])
    reads.length = 0
    parts.caches()
    expect(reads).toEqual([`${cpus}/online`])
    tree.set('/sys/fs/resctrl/info/L3/cbm_mask', 'ffff\n')
    tree.set('/sys/fs/resctrl/info/L3/num_closids', '8\n')
    expect(parts.caches().banks.map(({ controls }) => controls[0]?.maxAllocations)).toEqual([8, 8])
  })

  test('who asks for the width of addresses reads no node and no cache', () => {
    const { files, reads } = twoNodes()
    expect(new HostParts(files).physicalBits()).toBe(46)
    expect(reads).toEqual(['/proc/cpuinfo'])
  })

  test('powerManagement() and iommu() say what the kernel can do now', () => {
    const { files, tree } = twoNodes()
    const parts = new HostParts(files)
    expect(parts.powerManagement()).toEqual(['suspend_mem', 'suspend_disk', 'suspend_hybrid'])
    expect(parts.iommu()).toBe(false)
    tree.set('/sys/kernel/iommu_groups/0/type', 'DMA\n')
    tree.delete('/sys/power/state')
    expect([parts.powerManagement(), parts.iommu()]).toEqual([[], true])
  })
})
