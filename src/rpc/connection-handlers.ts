import type { connectionProcedures } from '../protocol/connection-procedures.ts'
import { feature } from '../protocol/programs.ts'
import { Fault } from '../util/fault.ts'
import { type Call, refuseUnknownFlags } from './call.ts'
import { parseConnectionUri } from './connection-uri.ts'
import type { Handlers } from './dispatcher.ts'
import { soon } from './soon.ts'

/** Version of the interface that this daemon implements, as `virsh version --daemon` shows it: libvirt 9.0.0. */
const interfaceVersion = 9_000_000n

const openReadOnly = 1
/** Accounts and aliases are the client's business; the daemon has nothing to do for it. */
const openNoAliases = 2
const authNone = 0

const supported: ReadonlySet<number> = new Set(Object.values(feature))

/** Opening, leaving, and questions about the host. Sysinfo and node statistics are not served yet. */
type Served = Omit<typeof connectionProcedures, 'connectGetSysinfo' | 'nodeGetCpuStats' | 'nodeGetMemoryStats'>

/** Handlers of the connection itself. */
export const connectionHandlers: Handlers<Served, Call> = {
  connectOpen({ connection }, { name, flags }) {
    refuseUnknownFlags(flags, openReadOnly | openNoAliases, 'CONNECT_OPEN')
    connection.open(parseConnectionUri(name, connection.backend), { readOnly: (flags & openReadOnly) !== 0 })
    return {}
  },
  // The reply is on its way when the client closes its end; closing first could lose it.
  connectClose: () => ({}),
  connectSupportsFeature({ connection }, { feature: asked }) {
    if (asked === feature.keepalive) connection.transport.enablePings()
    return { supported: supported.has(asked) ? 1 : 0 }
  },
  authList: () => ({ types: [authNone] }),
  connectGetType: ({ connection }) => ({ type: connection.backend.driver === 'qemu' ? 'QEMU' : 'TEST' }),
  connectGetVersion: ({ host }) => soon(host.hypervisorVersion(), (version) => ({ version: BigInt(version) })),
  connectGetLibVersion: () => ({ version: interfaceVersion }),
  connectGetMaxVcpus: ({ host }, { type }) => soon(host.maxVcpus(type), (count) => ({ count })),
  connectGetHostname: ({ host }) => ({ hostname: host.hostname() }),
  connectGetUri: ({ connection }) => ({ uri: connection.uri.text }),
  connectIsSecure: () => ({ secure: 1 }), // a UNIX socket
  connectGetCapabilities: async ({ texts }) => ({ xml: await texts.hostCapabilitiesXml() }),
  async connectGetDomainCapabilities({ texts, host }, { emulator, arch, machine, virtType, flags }) {
    refuseUnknownFlags(flags, 0, 'CONNECT_GET_DOMAIN_CAPABILITIES')
    // Who names neither means a guest like the host itself.
    const wantedArch = emulator === null ? (arch ?? host.nodeInfo().model) : arch
    return { xml: await texts.domainCapabilitiesXml({ binary: emulator, arch: wantedArch, machine, virtType }) }
  },
  connectGetCpuModelNames({ host }, { arch, needResults, flags }) {
    refuseUnknownFlags(flags, 0, 'CONNECT_GET_CPU_MODEL_NAMES')
    return soon(host.cpuModelNames(arch), (models) => ({ models: needResults ? models : [], count: models.length }))
  },
  nodeGetInfo: ({ host }) => host.nodeInfo(),
  nodeGetFreeMemory: ({ host }) => ({ bytes: host.freeMemoryBytes() }),
  nodeGetSecurityModel: () => ({ model: 'none', doi: '0' }),
  nodeGetCpuMap({ host }, { needMap, needOnline, flags }) {
    refuseUnknownFlags(flags, 0, 'NODE_GET_CPU_MAP')
    const online = host.onlineCpus()
    if (online.length === 0) throw new Fault('operation_failed', 'the CPUs of the host are not known')
    return {
      cpuMap: needMap ? cpuBits(online) : new Uint8Array(),
      online: needOnline ? online.filter(Boolean).length : 0,
      cpus: online.length,
    }
  },
}

/** One bit per CPU, lowest first in each byte. */
export function cpuBits(cpus: readonly boolean[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(cpus.length / 8))
  cpus.forEach((set, cpu) => {
    if (set) bytes[cpu >> 3] = (bytes[cpu >> 3] ?? 0) | (1 << (cpu & 7))
  })
  return bytes
}
