import { describe, expect, test } from 'vitest'
import type { HostFiles } from '../../src/host/host-files.ts'
import { hostParts } from '../../src/host/host-parts.ts'
import { readGuestCpuFacts } from '../../src/host/read-processor.ts'
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

/** The parts of a machine that answers no CPUID and has no KVM. */
function partsOf(files: HostFiles, arch = 'x86_64') {
  const qemuUser = () => ({ uid: 123, gid: 45 })
  return hostParts({ files, exists: () => false, withCpuid: () => null, tsc: () => null, arch, qemuUser })
}

describe('hostParts()', () => {
  test('numa() is kept until CPUs or nodes come or go, its memory is that of now', () => {
    const { files, tree, reads } = twoNodes()
    const parts = partsOf(files)
    expect(parts.numa().cells.map(({ cpus: seats }) => seats.map(({ socketId }) => socketId))).toEqual([[0], [1]])
    reads.length = 0
    tree.set(`${nodes}/node0/meminfo`, 'Node 0 MemTotal:      16384 kB\n')
    expect(parts.numa().cells[0]?.memoryKib).toBe(16_384n)
    expect(reads.filter((path) => path.includes('/topology/'))).toEqual([])
    tree.set(`${cpus}/online`, '0\n')
    expect(parts.numa().cells.map(({ cpus: seats }) => seats.length)).toEqual([1, 0])
  })

  test('cache() is kept until CPUs change, and reads nothing of resctrl', () => {
    const { files, tree, reads } = twoNodes()
    const parts = partsOf(files)
    expect(parts.cache().banks.map(({ id, cpus: of }) => [id, of])).toEqual([
      [0, '0'],
      [1, '1'],
    ])
    expect(reads.filter((path) => path.includes('resctrl'))).toEqual([])
    reads.length = 0
    parts.cache()
    expect(reads).toEqual([`${cpus}/online`])
    tree.set(`${cpus}/online`, '0\n')
    expect(parts.cache().banks).toHaveLength(1)
  })

  test('cache() leaves out first-level caches', () => {
    const { files, tree } = twoNodes()
    for (const [name, value] of [
      ['level', '1'],
      ['id', '7'],
      ['type', 'Unified'],
      ['size', '1024K'],
      ['shared_cpu_list', '0'],
    ] as const)
      tree.set(`${cpus}/cpu0/cache/index0/${name}`, `${value}\n`)
    expect(
      partsOf(files)
        .cache()
        .banks.map(({ level }) => level),
    ).toEqual([3, 3])
  })

  test('resctrl() is kept until CPUs or its mount change', () => {
    const { files, tree, reads } = twoNodes()
    const parts = partsOf(files)
    expect(parts.resctrl().cacheControls).toEqual([])
    reads.length = 0
    parts.resctrl()
    expect(reads).toEqual([`${cpus}/online`])
    tree.set('/sys/fs/resctrl/info/L3/cbm_mask', 'ffff\n')
    tree.set('/sys/fs/resctrl/info/L3/num_closids', '8\n')
    expect(parts.resctrl().cacheControls.map(({ controls }) => controls[0]?.maxAllocations)).toEqual([8, 8])
  })

  test('cpu() reads no node and no cache, and again only when the microcode is another', () => {
    const { files, tree, reads } = twoNodes()
    tree.set('/proc/cpuinfo', cpuinfo('0x1'))
    const parts = partsOf(files)
    expect(parts.cpu()).toMatchObject({ vendor: 'AuthenticAMD', microcode: '0x1', physicalBits: 48, nestedKvm: false })
    expect(reads.filter((path) => path.startsWith('/sys/devices'))).toEqual([])
    const first = reads.length
    parts.cpu()
    expect(reads.length - first).toBeLessThan(first)
    tree.set('/proc/cpuinfo', cpuinfo('0x2'))
    tree.set('/sys/module/kvm_amd/parameters/nested', '1\n')
    expect(parts.cpu()).toMatchObject({ microcode: '0x2', nestedKvm: true })
  })

  test('cpu() names the model that the processor is at least, and what it has beyond it', () => {
    const { files, tree } = twoNodes()
    tree.set('/proc/cpuinfo', cpuinfo('0x1'))
    const { namedModel, features } = partsOf(files).cpu()
    expect(namedModel).toBe('qemu64')
    expect(features).toEqual(expect.arrayContaining(['pclmuldq', 'sse4.1', 'tsc-deadline', 'invtsc']))
    expect(features).not.toContain('sse2')
    tree.set('/proc/cpuinfo', cpuinfo('0x1').replace(' svm', ''))
    expect(partsOf(files).cpu().namedModel).toBe('kvm64')
  })

  test('cpu() of another architecture has no x86 model', () => {
    const { files, tree } = twoNodes()
    tree.set('/proc/cpuinfo', 'processor\t: 0\ncpu\t\t: POWER9 (raw), altivec supported\n')
    expect(partsOf(files, 'ppc64le').cpu()).toMatchObject({ namedModel: 'POWER9', features: [], counter: null })
    expect(readGuestCpuFacts({ files })).toEqual({ model: 'POWER9', physicalBits: null })
  })

  test('power() and iommu() say what the kernel can do now', () => {
    const { files, tree } = twoNodes()
    const parts = partsOf(files)
    expect(parts.power().states).toEqual(['suspend_mem', 'suspend_disk', 'suspend_hybrid'])
    expect(parts.iommu().groups).toBe(0)
    tree.set('/sys/kernel/iommu_groups/0/type', 'DMA\n')
    tree.delete('/sys/power/state')
    expect([parts.power().states, parts.iommu().groups]).toEqual([[], 1])
  })

  test('security() says whom guests run as', () => {
    const { files, tree } = twoNodes()
    tree.set('/sys/kernel/security/lsm', 'capability,yama\n')
    expect(partsOf(files).security()).toMatchObject({
      modules: ['capability', 'yama'],
      models: [
        { model: 'none' },
        {
          model: 'dac',
          doi: '0',
          baseLabels: [
            { type: 'kvm', label: '+123:+45' },
            { type: 'qemu', label: '+123:+45' },
          ],
        },
      ],
    })
  })
})

/** The first CPU of an AMD machine. */
function cpuinfo(microcode: string): string {
  return [
    'processor\t: 0',
    'vendor_id\t: AuthenticAMD',
    'cpu family\t: 26',
    'model\t\t: 2',
    'model name\t: AMD EPYC',
    'stepping\t: 1',
    `microcode\t: ${microcode}`,
    'flags\t\t: fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx lm nonstop_tsc pni pclmulqdq cx16 sse4_1 tsc_deadline_timer svm',
    'address sizes\t: 48 bits physical, 48 bits virtual',
    '',
  ].join('\n')
}
