import { existsSync } from 'node:fs'
import { machine } from 'node:os'
import type {
  BandwidthNode,
  CacheBank,
  CacheControl,
  CpuCounter,
  HostDocument,
  Interconnect,
  NumaCell,
  ResourceMonitor,
  SecurityModel,
} from '../conf/host-document.ts'
import type { HostCpu, ProcessUser } from '../driver/host-facts.ts'
import { findQemuUser } from './find-qemu-user.ts'
import { readMicrocode } from './host-cpu.ts'
import { type HostFiles, localHostFiles } from './host-files.ts'
import { readNestedKvm } from './kvm-access.ts'
import { readTsc } from './kvm-tsc.ts'
import { type AskCpuid, withCpuid } from './read-cpuid.ts'
import { readCacheBanks } from './read-cache-banks.ts'
import { readNodeMemory } from './read-node-memory.ts'
import { readInterconnects, readNumaCells } from './read-numa-cells.ts'
import { readProcessor } from './read-processor.ts'
import { readBandwidthMonitor, readCacheControls, readCacheMonitor, readMemoryBandwidth } from './read-resctrl.ts'
import { readSecureGuest } from './read-secure-guest.ts'

/** What the parts are read from; tests give recorded machines. */
export interface HostSources {
  readonly files: HostFiles
  readonly exists: (path: string) => boolean
  readonly withCpuid: <Result>(make: (ask: AskCpuid) => Result) => Result | null
  readonly tsc: () => CpuCounter | null
  /** Kernel's name of the architecture. */
  readonly arch: string
  /** Whom guests run as where that is another user than the daemon's own. */
  readonly qemuUser: () => ProcessUser | null
}

/** The first CPU, what it can do, and the model by which definitions would name it. */
export interface HostProcessor extends HostCpu {
  readonly arch: string
  readonly namedModel: string | null
  /** What it has beyond that model. */
  readonly features: readonly string[]
  readonly microcode: string | null
  /** Bits of physical addresses; null where the kernel prints none. */
  readonly physicalBits: number | null
  readonly counter: CpuCounter | null
  readonly nestedKvm: boolean
}

/** Where CPUs and memory sit; `memoryKib` and `pages` of the cells are those of now. */
export interface HostNuma {
  readonly cells: readonly NumaCell[]
  readonly interconnects: readonly Interconnect[]
}

/** What divides and measures caches and memory bandwidth. */
export interface HostResctrl {
  readonly cacheControls: readonly (Pick<CacheBank, 'id' | 'level'> & { readonly controls: readonly CacheControl[] })[]
  readonly cacheMonitor: ResourceMonitor | null
  readonly memoryBandwidth: readonly BandwidthNode[]
  readonly bandwidthMonitor: ResourceMonitor | null
}

/** What keeps guests from each other and from the host. */
export interface HostSecurity {
  readonly secureGuest: string
  /** Security modules of the kernel. */
  readonly modules: readonly string[]
  readonly models: readonly SecurityModel[]
}

/** The parts of a host's description by name; each call reads that part and no other. */
export interface HostParts {
  cpu(): HostProcessor
  numa(): HostNuma
  cache(): { readonly banks: readonly CacheBank[] }
  resctrl(): HostResctrl
  /** Groups of devices whose memory accesses are confined, so that they can be given to guests. */
  iommu(): { readonly groups: number }
  security(): HostSecurity
  migration(): NonNullable<HostDocument['migration']>
  /** Sleep states of the machine. */
  power(): { readonly states: HostDocument['powerManagement'] }
}

/** Name of a part. */
export type HostPartName = keyof HostParts

const cpuDirectory = '/sys/devices/system/cpu'
const nodeDirectory = '/sys/devices/system/node'
const resctrlInfo = '/sys/fs/resctrl/info'

/** This machine, with the user that guests run as there. */
export function localHostSources(qemuUser: () => ProcessUser | null = foundQemuUser): HostSources {
  return { files: localHostFiles, exists: existsSync, withCpuid, tsc: readTsc, arch: machine(), qemuUser }
}

function foundQemuUser(): ProcessUser | null {
  return process.getuid?.() === 0 ? findQemuUser() : null
}

/**
 * Parts of the host's description, each read when it is asked for. What a part is kept by, its trigger, costs a read or two; what costs no
 * more than that itself, or changes at any time, is read each time.
 */
export function hostParts(sources: HostSources = localHostSources()): HostParts {
  const { files } = sources
  const online = (): string => JSON.stringify(files.read(`${cpuDirectory}/online`))
  const processor = kept(
    // The rest of a CPU cannot change before the next boot.
    () => readMicrocode(files.read) ?? '',
    () => readProcessor(sources),
  )
  const topology = kept(
    () => `${online()} ${files.read(`${nodeDirectory}/online`)}`,
    () => ({
      cells: readNumaCells(files, () => ({ memoryKib: 0n, pages: [] })),
      interconnects: readInterconnects(files),
    }),
  )
  const cache = kept(online, () => ({ banks: readCacheBanks(files) }))
  const resctrl = kept(
    () => `${online()} ${files.list(resctrlInfo).join(' ')}`,
    () => readResctrl(files, cache().banks),
  )
  return {
    cpu: () => ({ ...processor(), nestedKvm: readNestedKvm(files.read) }),
    // Memory is plugged in and reserved for huge pages at any time.
    numa() {
      const { cells, interconnects } = topology()
      return { cells: cells.map((cell) => ({ ...cell, ...readNodeMemory(files, cell.id) })), interconnects }
    },
    cache,
    resctrl,
    iommu: () => ({ groups: files.list('/sys/kernel/iommu_groups').length }),
    security: () => readSecurity(sources),
    // As QEMU migrates on every host; it is not for the host to allow.
    migration: () => ({ live: true, uriTransports: ['tcp', 'rdma'] }),
    power: () => ({ states: readSleepStates(files) }),
  }
}

/** The value that was read last, while the trigger stays what it was then. */
function kept<Value>(trigger: () => string, read: () => Value): () => Value {
  let last: { readonly trigger: string; readonly value: Value } | null = null
  return () => {
    const now = trigger()
    if (last?.trigger !== now) last = { trigger: now, value: read() }
    return last.value
  }
}

function readResctrl(files: HostFiles, banks: readonly CacheBank[]): HostResctrl {
  return {
    cacheControls: banks.flatMap((bank) => {
      const controls = readCacheControls(files, bank)
      return controls.length === 0 ? [] : [{ id: bank.id, level: bank.level, controls }]
    }),
    cacheMonitor: readCacheMonitor(files),
    memoryBandwidth: readMemoryBandwidth(files, banks),
    bandwidthMonitor: readBandwidthMonitor(files),
  }
}

/** No labels of the kernel's security modules are given to guests; their own user is what holds them. */
function readSecurity({ files, exists, qemuUser }: HostSources): HostSecurity {
  const user = qemuUser()
  const label = user === null ? null : `+${user.uid}:+${user.gid}`
  return {
    secureGuest: readSecureGuest({ read: files.read, exists }),
    modules: (files.read('/sys/kernel/security/lsm') ?? '').trim().split(',').filter(Boolean),
    models: [
      { model: 'none', doi: '0', baseLabels: [] },
      ...(label === null
        ? []
        : [{ model: 'dac', doi: '0', baseLabels: ['kvm', 'qemu'].map((type) => ({ type, label })) }]),
    ],
  }
}

function readSleepStates(files: HostFiles): HostDocument['powerManagement'] {
  const states = words(files.read('/sys/power/state'))
  const afterDisk = words(files.read('/sys/power/disk')?.replaceAll(/[[\]]/g, '') ?? null)
  const rows = [
    { state: 'suspend_mem', has: states.includes('mem') },
    { state: 'suspend_disk', has: states.includes('disk') },
    { state: 'suspend_hybrid', has: states.includes('disk') && afterDisk.includes('suspend') },
  ]
  return rows.filter(({ has }) => has).map(({ state }) => state)
}

function words(text: string | null): readonly string[] {
  return (text ?? '').split(/\s+/).filter((word) => word !== '')
}
