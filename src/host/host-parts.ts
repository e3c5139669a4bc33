import type {
  BandwidthNode,
  CacheBank,
  HostDocument,
  Interconnect,
  NumaCell,
  ResourceMonitor,
} from '../conf/host-document.ts'
import { type HostFiles, localHostFiles } from './host-files.ts'
import { readCacheBanks } from './read-cache-banks.ts'
import { readNodeMemory } from './read-node-memory.ts'
import { readInterconnects, readNumaCells } from './read-numa-cells.ts'
import { readBandwidthMonitor, readCacheMonitor, readMemoryBandwidth } from './read-resctrl.ts'

/** Where CPUs and memory sit; `memoryKib` and `pages` of the cells are those of now. */
export interface HostTopology {
  readonly cells: readonly NumaCell[]
  readonly interconnects: readonly Interconnect[]
}

/** Caches of the CPUs with what divides and measures them. */
export interface HostCaches {
  readonly banks: readonly CacheBank[]
  readonly monitor: ResourceMonitor | null
  readonly bandwidth: readonly BandwidthNode[]
  readonly bandwidthMonitor: ResourceMonitor | null
}

interface Kept<T> {
  readonly trigger: string
  readonly value: T
}

const cpuDirectory = '/sys/devices/system/cpu'
const nodeDirectory = '/sys/devices/system/node'
const resctrlDirectory = '/sys/fs/resctrl'

/**
 * Parts of the host's description, each read when it is asked for. What changes only with the CPUs, the nodes or the mount of resctrl is
 * kept until one of them changes: that costs a read or two instead of some for every CPU.
 */
export class HostParts {
  readonly #files: HostFiles
  #topology: Kept<HostTopology> | null = null
  #caches: Kept<HostCaches> | null = null
  #physicalBits: Kept<number | null> | null = null

  constructor(files: HostFiles = localHostFiles) {
    this.#files = files
  }

  topology(): HostTopology {
    const files = this.#files
    const trigger = this.#texts([`${cpuDirectory}/online`, `${nodeDirectory}/online`])
    if (this.#topology?.trigger !== trigger) {
      const cells = readNumaCells(files, () => ({ memoryKib: 0n, pages: [] }))
      this.#topology = { trigger, value: { cells, interconnects: readInterconnects(files) } }
    }
    const { cells, interconnects } = this.#topology.value
    // Memory is plugged in and reserved for huge pages at any time.
    return { cells: cells.map((cell) => ({ ...cell, ...readNodeMemory(files, cell.id) })), interconnects }
  }

  caches(): HostCaches {
    const files = this.#files
    const mounted = files.list(`${resctrlDirectory}/info`).join(' ')
    const trigger = `${this.#texts([`${cpuDirectory}/online`])} ${mounted}`
    if (this.#caches?.trigger !== trigger) {
      const banks = readCacheBanks(files)
      const value = {
        banks,
        monitor: readCacheMonitor(files),
        bandwidth: readMemoryBandwidth(files, banks),
        bandwidthMonitor: readBandwidthMonitor(files),
      }
      this.#caches = { trigger, value }
    }
    return this.#caches.value
  }

  /** Whether devices can be given to guests with their memory accesses confined. */
  iommu(): boolean {
    return this.#files.list('/sys/kernel/iommu_groups').length > 0
  }

  /** Sleep states of the machine. */
  powerManagement(): HostDocument['powerManagement'] {
    const states = words(this.#files.read('/sys/power/state'))
    const afterDisk = words(this.#files.read('/sys/power/disk')?.replaceAll(/[[\]]/g, '') ?? null)
    const rows = [
      { state: 'suspend_mem', has: states.includes('mem') },
      { state: 'suspend_disk', has: states.includes('disk') },
      { state: 'suspend_hybrid', has: states.includes('disk') && afterDisk.includes('suspend') },
    ]
    return rows.filter(({ has }) => has).map(({ state }) => state)
  }

  /** Bits of physical addresses as the processor states them; null where the kernel prints none. Never changes. */
  physicalBits(): number | null {
    this.#physicalBits ??= { trigger: '', value: this.#readPhysicalBits() }
    return this.#physicalBits.value
  }

  #readPhysicalBits(): number | null {
    // It stands with the first CPU; the text has some KiB for every one.
    const text = this.#files.read('/proc/cpuinfo', 65_536) ?? ''
    const bits = /^address sizes\s*:\s*(\d+) bits physical/m.exec(text)?.[1]
    return bits === undefined ? null : Number(bits)
  }

  #texts(paths: readonly string[]): string {
    return JSON.stringify(paths.map((path) => this.#files.read(path)))
  }
}

function words(text: string | null): readonly string[] {
  return (text ?? '').split(/\s+/).filter((word) => word !== '')
}
