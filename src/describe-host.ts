import { freemem } from 'node:os'
import type { Host } from './commands/host.ts'
import { daemonContext } from './commands/daemon-caller.ts'
import { defaultEmulator } from './commands/default-emulator.ts'
import type { DescribedHost } from './commands/described-host.ts'
import { x86VendorName } from './conf/best-x86-model.ts'
import type { HostCpuFacts } from './conf/describe-guest-cpu.ts'
import type { CacheBank, HostCpuPart, NumaCell } from './conf/host-document.ts'
import type { Hypervisor } from './compose-driver.ts'
import type { HostFacts as MachineFacts, NodeInfo } from './driver/host-facts.ts'
import { type HostProcessor, type HostResctrl, hostParts, localHostSources } from './host/host-parts.ts'
import { readGuestCpuFacts } from './host/read-processor.ts'
import { parseCpuList } from './host/parse-cpu-list.ts'
import { readHostText } from './host/read-host-text.ts'
import type { RpcHost } from './rpc/backend.ts'

/** The host part of the capabilities; read when asked for, from /proc and /sys, without any emulator. */
export function describeHost(hostId: string, { machine, user }: Pick<Hypervisor, 'machine' | 'user'>): DescribedHost {
  const sources = localHostSources(() => user)
  const parts = hostParts(sources)
  let guestCpu: HostCpuFacts | null = null
  return {
    document() {
      const { cells, interconnects } = parts.numa()
      const resctrl = parts.resctrl()
      return {
        uuid: hostId,
        cpu: cpuPart(parts.cpu(), { cells, node: machine.nodeInfo() }),
        powerManagement: parts.power().states,
        iommu: parts.iommu().groups > 0,
        migration: parts.migration(),
        cells,
        interconnects,
        cacheBanks: divided(parts.cache().banks, resctrl),
        ...(resctrl.cacheMonitor === null ? {} : { cacheMonitor: resctrl.cacheMonitor }),
        memoryBandwidth: resctrl.memoryBandwidth,
        ...(resctrl.bandwidthMonitor === null ? {} : { bandwidthMonitor: resctrl.bandwidthMonitor }),
        securityModels: parts.security().models,
      }
    },
    cpu() {
      // A CPU does not change before the next boot, and this is asked with every look-up of domain capabilities.
      guestCpu ??= readGuestCpuFacts(sources)
      return guestCpu
    },
  }
}

/** Caches with how each can be divided. */
function divided(banks: readonly CacheBank[], { cacheControls }: HostResctrl): readonly CacheBank[] {
  return banks.map((bank) => {
    const found = cacheControls.find(({ id, level }) => id === bank.id && level === bank.level)
    return found === undefined ? bank : { ...bank, controls: found.controls }
  })
}

function cpuPart(
  cpu: HostProcessor,
  { cells, node }: { readonly cells: readonly NumaCell[]; readonly node: NodeInfo },
): HostCpuPart {
  const { microcode } = cpu
  const signature = [cpu.family, cpu.model, cpu.stepping].map((text) => (/^\d+$/.test(text) ? Number(text) : null))
  const [family, model, stepping] = signature
  const dies = new Set(cells.flatMap((cell) => cell.cpus.map((seat) => `${seat.socketId}/${seat.dieId}`))).size
  return {
    arch: node.model,
    ...(cpu.namedModel === null ? {} : { model: cpu.namedModel }),
    ...(cpu.vendor === '' ? {} : { vendor: x86VendorName(cpu.vendor) }),
    ...(microcode === null ? {} : { microcode: String(Number(microcode)) }),
    ...(typeof family === 'number' && typeof model === 'number' && typeof stepping === 'number'
      ? { signature: { family, model, stepping } }
      : {}),
    ...(cpu.counter === null ? {} : { counter: cpu.counter }),
    topology: {
      sockets: node.sockets,
      dies: Math.max(1, Math.floor(dies / Math.max(1, node.sockets * node.nodes))),
      cores: node.cores,
      threads: node.threads,
    },
    ...(cpu.physicalBits === null ? {} : { physicalBits: cpu.physicalBits }),
    features: cpu.features,
    pagesKib: (cells[0]?.pages ?? []).map(({ sizeKib }) => sizeKib),
  }
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
