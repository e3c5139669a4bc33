import { freemem } from 'node:os'
import type { Host } from './commands/host.ts'
import { daemonContext } from './commands/daemon-caller.ts'
import { defaultEmulator } from './commands/default-emulator.ts'
import type { HostDescription } from './conf/capabilities-xml.ts'
import type { HostFacts as MachineFacts } from './driver/host-facts.ts'
import { readHostTopology } from './host/host-topology.ts'
import { parseCpuList } from './host/parse-cpu-list.ts'
import { readHostText } from './host/read-host-text.ts'
import type { RpcHost } from './rpc/backend.ts'

/** The host part of the capabilities document; read when asked for, from /proc and /sys. */
export function describeHost(hostId: string, machine: MachineFacts): HostDescription {
  const node = machine.nodeInfo()
  const cpu = machine.cpu()
  const microcode = machine.microcode()
  const cells = readHostTopology(readHostText)
  const dies = new Set(cells.flatMap((cell) => cell.cpus.map((place) => `${place.socketId}/${place.dieId}`))).size
  return {
    uuid: hostId,
    arch: node.model,
    ...(cpu.vendor === '' ? {} : { cpuVendor: vendorName(cpu.vendor) }),
    ...(microcode === null ? {} : { microcode: String(Number(microcode)) }),
    topology: {
      sockets: node.sockets,
      dies: Math.max(1, Math.floor(dies / Math.max(1, node.sockets * node.nodes))),
      cores: node.cores,
      threads: node.threads,
    },
    cells,
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
