import { freemem } from 'node:os'
import type { Host } from './commands/host.ts'
import { daemonContext } from './commands/daemon-caller.ts'
import { defaultEmulator } from './commands/default-emulator.ts'
import type { DescribedHost } from './commands/described-host.ts'
import type { HostCpuPart, NumaCell } from './conf/host-document.ts'
import type { HostFacts as MachineFacts } from './driver/host-facts.ts'
import { HostParts } from './host/host-parts.ts'
import { parseCpuList } from './host/parse-cpu-list.ts'
import { readHostText } from './host/read-host-text.ts'
import type { RpcHost } from './rpc/backend.ts'

/** The host part of the capabilities; read when asked for, from /proc and /sys. */
export function describeHost(hostId: string, machine: MachineFacts): DescribedHost {
  const parts = new HostParts()
  return {
    document() {
      const { cells, interconnects } = parts.topology()
      const caches = parts.caches()
      return {
        uuid: hostId,
        cpu: cpuPart(machine, cells),
        powerManagement: parts.powerManagement(),
        iommu: parts.iommu(),
        cells,
        interconnects,
        cacheBanks: caches.banks,
        ...(caches.monitor === null ? {} : { cacheMonitor: caches.monitor }),
        memoryBandwidth: caches.bandwidth,
        ...(caches.bandwidthMonitor === null ? {} : { bandwidthMonitor: caches.bandwidthMonitor }),
        securityModels: [{ model: 'none', doi: '0', baseLabels: [] }],
      }
    },
    cpu: () => ({ model: powerModel(machine.cpu().name), physicalBits: parts.physicalBits() }),
  }
}

/** POWER processors are called by their generation alone, `POWER9 (raw), altivec supported`. */
function powerModel(name: string): string | null {
  return /^POWER\d+/.exec(name)?.[0] ?? null
}

function cpuPart(machine: MachineFacts, cells: readonly NumaCell[]): HostCpuPart {
  const node = machine.nodeInfo()
  const cpu = machine.cpu()
  const microcode = machine.microcode()
  const signature = [cpu.family, cpu.model, cpu.stepping].map((text) => (/^\d+$/.test(text) ? Number(text) : null))
  const [family, model, stepping] = signature
  const dies = new Set(cells.flatMap((cell) => cell.cpus.map((seat) => `${seat.socketId}/${seat.dieId}`))).size
  return {
    arch: node.model,
    ...(cpu.vendor === '' ? {} : { vendor: vendorName(cpu.vendor) }),
    ...(microcode === null ? {} : { microcode: String(Number(microcode)) }),
    ...(typeof family === 'number' && typeof model === 'number' && typeof stepping === 'number'
      ? { signature: { family, model, stepping } }
      : {}),
    topology: {
      sockets: node.sockets,
      dies: Math.max(1, Math.floor(dies / Math.max(1, node.sockets * node.nodes))),
      cores: node.cores,
      threads: node.threads,
    },
  }
}

/** The names that clients of the capabilities document know for CPU vendors. */
const vendorNames: Readonly<Record<string, string>> = {
  GenuineIntel: 'Intel',
  AuthenticAMD: 'AMD',
  HygonGenuine: 'Hygon',
}

function vendorName(id: string): string {
  return vendorNames[id] ?? id
}

/** Facts of the host that a connection can ask for; those about emulators come from the capability cache. */
export function connectionFacts(host: Host, machine: MachineFacts): RpcHost {
  const defaultFacts = async () =>
    (
      await host.caps.current(
        await defaultEmulator(host, machine.nodeInfo().model),
        daemonContext('CONNECT_GET_VERSION'),
      )
    ).facts
  return {
    hostname: () => machine.hostname(),
    nodeInfo: () => machine.nodeInfo(),
    freeMemoryBytes: () => BigInt(freemem()),
    onlineCpus: () => {
      const online = parseCpuList(readHostText('/sys/devices/system/cpu/online') ?? '0')
      const present = parseCpuList(readHostText('/sys/devices/system/cpu/present') ?? '0')
      return present.map((cpu) => online.includes(cpu))
    },
    hypervisorVersion: async () => Number((await defaultFacts()).version),
    maxVcpus: async () => Math.max(...(await defaultFacts()).machines.map((one) => one.maxCpus), 0),
    cpuModelNames: async (arch) => {
      const binary = await defaultEmulator(host, arch)
      const { facts } = await host.caps.current(binary, daemonContext('CONNECT_GET_CPU_MODEL_NAMES'))
      return facts.cpuModels.map((model) => model.name)
    },
  }
}
