/** The host part of the capabilities; every part that was not asked for is absent, and then not printed. */
export interface HostDocument {
  readonly uuid?: string
  readonly cpu: HostCpuPart
  /** Sleep states, such as `suspend_mem`. */
  readonly powerManagement: readonly string[]
  readonly iommu?: boolean
  readonly migration?: { readonly live: boolean; readonly uriTransports: readonly string[] }
  readonly cells?: readonly NumaCell[]
  readonly interconnects?: readonly Interconnect[]
  readonly cacheBanks?: readonly CacheBank[]
  readonly cacheMonitor?: ResourceMonitor
  readonly memoryBandwidth?: readonly BandwidthNode[]
  readonly bandwidthMonitor?: ResourceMonitor
  readonly securityModels?: readonly SecurityModel[]
}

/** What the host's CPU is. */
export interface HostCpuPart {
  readonly arch: string
  readonly model?: string
  readonly vendor?: string
  readonly microcode?: string
  readonly signature?: { readonly family: number; readonly model: number; readonly stepping: number }
  readonly counter?: CpuCounter
  readonly topology?: HostCpuTopology
  /** Bits of physical addresses. */
  readonly physicalBits?: number
  readonly features?: readonly string[]
  /** Sizes of pages that guests can get. */
  readonly pagesKib?: readonly bigint[]
}

/** The clock that counts in the CPU; `isScalable` says whether guests can be given another frequency. */
export interface CpuCounter {
  readonly name: string
  readonly frequencyHz: bigint
  readonly isScalable: boolean
}

/** Counts of one level in the next. */
export interface HostCpuTopology {
  readonly sockets: number
  readonly dies: number
  readonly clusters?: number
  readonly cores: number
  readonly threads: number
}

/** A NUMA node. */
export interface NumaCell {
  readonly id: number
  readonly memoryKib: bigint
  readonly pages: readonly { readonly sizeKib: bigint; readonly count: bigint }[]
  /** As the firmware's SLIT has them; 10 is the node itself. */
  readonly distances: readonly { readonly id: number; readonly value: number }[]
  readonly caches: readonly MemorySideCache[]
  readonly cpus: readonly HostCpuSeat[]
}

/** A cache between a memory node and its initiators; sizes in bytes. */
export interface MemorySideCache {
  readonly level: number
  readonly associativity: 'none' | 'direct' | 'full'
  readonly policy: 'none' | 'writeback' | 'writethrough'
  readonly sizeBytes: bigint
  readonly lineBytes: bigint
}

/** Where a CPU sits; `siblings` is the list of threads of its core, such as `0,4`. */
export interface HostCpuSeat {
  readonly id: number
  readonly socketId: number
  readonly dieId: number
  readonly clusterId: number
  readonly coreId: number
  readonly siblings: string
}

/** How fast one node reaches the memory of another: nanoseconds, or KiB a second. */
export interface Interconnect {
  readonly kind: 'latency' | 'bandwidth'
  readonly initiator: number
  readonly target: number
  readonly access: 'read' | 'write'
  readonly value: bigint
}

/** A cache of CPUs; sizes in bytes, `cpus` as a list. */
export interface CacheBank {
  readonly id: number
  readonly level: number
  readonly kind: 'both' | 'code' | 'data'
  readonly sizeBytes: bigint
  readonly cpus: string
  readonly controls: readonly CacheControl[]
}

/** How a cache can be divided; `minBytes` is absent where one step is the least. */
export interface CacheControl {
  readonly kind: 'both' | 'code' | 'data'
  readonly granularityBytes: bigint
  readonly minBytes?: bigint
  readonly maxAllocations: number
}

/** What resctrl can measure. */
export interface ResourceMonitor {
  readonly level?: number
  readonly reuseThresholdBytes?: bigint
  readonly maxMonitors: number
  readonly features: readonly string[]
}

/** CPUs whose memory bandwidth can be limited. */
export interface BandwidthNode {
  readonly id: number
  readonly cpus: string
  readonly granularity: number
  readonly min: number
  readonly maxAllocations: number
}

/** A security driver with the labels it gives to guests. */
export interface SecurityModel {
  readonly model: string
  readonly doi: string
  readonly baseLabels: readonly { readonly type: string; readonly label: string }[]
}
