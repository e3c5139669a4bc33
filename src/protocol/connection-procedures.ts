import { array, arrayFixed, mapped, nothing, struct } from '../xdr/xdr-composites.ts'
import { i32, opaque, u32, u64 } from '../xdr/xdr-codec.ts'
import { limits } from './limits.ts'
import { procedure } from './procedure.ts'
import { charArray, charsToText, string, stringOrNull, textToChars } from './wire-types.ts'

/** `char model[32]`: 32 words, padded by zeros. */
const cpuModelName = mapped(arrayFixed(i32, 32), charsToText, (model: string) => {
  const chars = textToChars(model).slice(0, 31)
  return [...chars, ...Array.from({ length: 32 - chars.length }, () => 0)]
})

const query = { class: 'query' } as const
/** Without it no client would get so far as to open a connection. */
const greeting = { class: 'query', beforeOpen: true } as const
const nodeStat = struct({ field: string, value: u64 })
const nodeStatsResult = struct({ stats: array(nodeStat, limits.nodeStats), count: i32 })

/** Opening, leaving and asking about the connection and its host. */
export const connectionProcedures = {
  connectOpen: procedure(1, 'CONNECT_OPEN', struct({ name: stringOrNull, flags: u32 }), nothing, greeting),
  connectClose: procedure(2, 'CONNECT_CLOSE', nothing, nothing, greeting),
  connectGetType: procedure(3, 'CONNECT_GET_TYPE', nothing, struct({ type: string }), query),
  connectGetVersion: procedure(4, 'CONNECT_GET_VERSION', nothing, struct({ version: u64 }), query),
  connectGetMaxVcpus: procedure(
    5,
    'CONNECT_GET_MAX_VCPUS',
    struct({ type: stringOrNull }),
    struct({ count: i32 }),
    query,
  ),
  nodeGetInfo: procedure(
    6,
    'NODE_GET_INFO',
    nothing,
    struct({
      model: cpuModelName,
      memoryKib: u64,
      cpus: i32,
      mhz: i32,
      nodes: i32,
      sockets: i32,
      cores: i32,
      threads: i32,
    }),
    query,
  ),
  connectGetCapabilities: procedure(7, 'CONNECT_GET_CAPABILITIES', nothing, struct({ xml: string }), query),
  connectGetHostname: procedure(59, 'CONNECT_GET_HOSTNAME', nothing, struct({ hostname: string }), query),
  connectSupportsFeature: procedure(
    60,
    'CONNECT_SUPPORTS_FEATURE',
    struct({ feature: i32 }),
    struct({ supported: i32 }),
    greeting,
  ),
  authList: procedure(66, 'AUTH_LIST', nothing, struct({ types: array(i32, limits.authTypes) }), greeting),
  nodeGetFreeMemory: procedure(102, 'NODE_GET_FREE_MEMORY', nothing, struct({ bytes: u64 }), query),
  connectGetUri: procedure(110, 'CONNECT_GET_URI', nothing, struct({ uri: string }), query),
  nodeGetSecurityModel: procedure(
    122,
    'NODE_GET_SECURITY_MODEL',
    nothing,
    struct({ model: charArray(limits.securityModelLength), doi: charArray(limits.securityDoiLength) }),
    query,
  ),
  connectIsSecure: procedure(149, 'CONNECT_IS_SECURE', nothing, struct({ secure: i32 }), query),
  connectGetLibVersion: procedure(157, 'CONNECT_GET_LIB_VERSION', nothing, struct({ version: u64 }), query),
  connectGetSysinfo: procedure(203, 'CONNECT_GET_SYSINFO', struct({ flags: u32 }), struct({ xml: string }), query),
  nodeGetCpuStats: procedure(
    227,
    'NODE_GET_CPU_STATS',
    struct({ cpu: i32, maxStats: i32, flags: u32 }),
    nodeStatsResult,
    query,
  ),
  nodeGetMemoryStats: procedure(
    228,
    'NODE_GET_MEMORY_STATS',
    struct({ maxStats: i32, cell: i32, flags: u32 }),
    nodeStatsResult,
    query,
  ),
  nodeGetCpuMap: procedure(
    293,
    'NODE_GET_CPU_MAP',
    struct({ needMap: i32, needOnline: i32, flags: u32 }),
    struct({ cpuMap: opaque(limits.cpuMapBytes), online: u32, cpus: i32 }),
    query,
  ),
  connectGetCpuModelNames: procedure(
    312,
    'CONNECT_GET_CPU_MODEL_NAMES',
    struct({ arch: string, needResults: i32, flags: u32 }),
    struct({ models: array(string, limits.cpuModels), count: i32 }),
    query,
  ),
  connectGetDomainCapabilities: procedure(
    342,
    'CONNECT_GET_DOMAIN_CAPABILITIES',
    struct({
      emulator: stringOrNull,
      arch: stringOrNull,
      machine: stringOrNull,
      virtType: stringOrNull,
      flags: u32,
    }),
    struct({ xml: string }),
    query,
  ),
} as const
