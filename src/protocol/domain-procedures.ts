import { array, nothing, struct } from '../xdr/xdr-composites.ts'
import { i32, opaque, u32, u64 } from '../xdr/xdr-codec.ts'
import { limits } from './limits.ts'
import { procedure } from './procedure.ts'
import { charArray, document, domainRef, string, stringOrNull, uuid } from './wire-types.ts'

const query = { class: 'query' } as const
const modify = { class: 'modify' } as const
const domainArg = struct({ domain: domainRef })
const domainFlags = struct({ domain: domainRef, flags: u32 })
const domainResult = struct({ domain: domainRef })
const countResult = struct({ count: i32 })
const labelRow = struct({ label: charArray(limits.securityLabelLength), enforcing: i32 })

/** Finding and listing domains. */
export const domainLookupProcedures = {
  connectListDefinedDomains: procedure(
    21,
    'CONNECT_LIST_DEFINED_DOMAINS',
    struct({ maxNames: i32 }),
    struct({ names: array(string, limits.domains) }),
    query,
  ),
  domainLookupById: procedure(22, 'DOMAIN_LOOKUP_BY_ID', struct({ id: i32 }), domainResult, query),
  domainLookupByName: procedure(23, 'DOMAIN_LOOKUP_BY_NAME', struct({ name: string }), domainResult, query),
  domainLookupByUuid: procedure(24, 'DOMAIN_LOOKUP_BY_UUID', struct({ uuid }), domainResult, query),
  connectNumOfDefinedDomains: procedure(25, 'CONNECT_NUM_OF_DEFINED_DOMAINS', nothing, countResult, query),
  connectListDomains: procedure(
    37,
    'CONNECT_LIST_DOMAINS',
    struct({ maxIds: i32 }),
    struct({ ids: array(i32, limits.domains) }),
    query,
  ),
  connectNumOfDomains: procedure(51, 'CONNECT_NUM_OF_DOMAINS', nothing, countResult, query),
  connectListAllDomains: procedure(
    273,
    'CONNECT_LIST_ALL_DOMAINS',
    struct({ needResults: i32, flags: u32 }),
    struct({ domains: array(domainRef, limits.domains), count: u32 }),
    query,
  ),
} as const

/** Defining domains and changing what is defined. */
export const domainDefinitionProcedures = {
  domainDefineXml: procedure(11, 'DOMAIN_DEFINE_XML', struct({ xml: document }), domainResult, modify),
  domainGetXmlDesc: procedure(14, 'DOMAIN_GET_XML_DESC', domainFlags, struct({ xml: string }), query),
  domainGetAutostart: procedure(15, 'DOMAIN_GET_AUTOSTART', domainArg, struct({ autostart: i32 }), query),
  domainSetAutostart: procedure(
    29,
    'DOMAIN_SET_AUTOSTART',
    struct({ domain: domainRef, autostart: i32 }),
    nothing,
    modify,
  ),
  domainUndefine: procedure(35, 'DOMAIN_UNDEFINE', domainArg, nothing, modify),
  domainUndefineFlags: procedure(231, 'DOMAIN_UNDEFINE_FLAGS', domainFlags, nothing, modify),
  domainSetMetadata: procedure(
    264,
    'DOMAIN_SET_METADATA',
    struct({
      domain: domainRef,
      type: i32,
      metadata: stringOrNull,
      key: stringOrNull,
      uri: stringOrNull,
      flags: u32,
    }),
    nothing,
    modify,
  ),
  domainGetMetadata: procedure(
    265,
    'DOMAIN_GET_METADATA',
    struct({ domain: domainRef, type: i32, uri: stringOrNull, flags: u32 }),
    struct({ metadata: string }),
    query,
  ),
  domainDefineXmlFlags: procedure(
    350,
    'DOMAIN_DEFINE_XML_FLAGS',
    struct({ xml: document, flags: u32 }),
    domainResult,
    modify,
  ),
} as const

/** Starting, stopping, pausing. */
export const domainLifecycleProcedures = {
  domainCreate: procedure(9, 'DOMAIN_CREATE', domainArg, nothing, modify),
  domainCreateXml: procedure(10, 'DOMAIN_CREATE_XML', struct({ xml: document, flags: u32 }), domainResult, modify),
  domainDestroy: procedure(12, 'DOMAIN_DESTROY', domainArg, nothing, modify),
  domainReboot: procedure(27, 'DOMAIN_REBOOT', domainFlags, nothing, modify),
  domainResume: procedure(28, 'DOMAIN_RESUME', domainArg, nothing, modify),
  domainShutdown: procedure(33, 'DOMAIN_SHUTDOWN', domainArg, nothing, modify),
  domainSuspend: procedure(34, 'DOMAIN_SUSPEND', domainArg, nothing, modify),
  domainCreateWithFlags: procedure(196, 'DOMAIN_CREATE_WITH_FLAGS', domainFlags, domainResult, modify),
  domainDestroyFlags: procedure(234, 'DOMAIN_DESTROY_FLAGS', domainFlags, nothing, modify),
  domainReset: procedure(245, 'DOMAIN_RESET', domainFlags, nothing, modify),
  domainShutdownFlags: procedure(258, 'DOMAIN_SHUTDOWN_FLAGS', domainFlags, nothing, modify),
} as const

/** What a domain is now. */
export const domainStateProcedures = {
  domainGetInfo: procedure(
    16,
    'DOMAIN_GET_INFO',
    domainArg,
    struct({ state: u32, maxMemoryKib: u64, memoryKib: u64, vcpus: u32, cpuTimeNs: u64 }),
    query,
  ),
  domainGetMaxMemory: procedure(17, 'DOMAIN_GET_MAX_MEMORY', domainArg, struct({ memoryKib: u64 }), query),
  domainGetMaxVcpus: procedure(18, 'DOMAIN_GET_MAX_VCPUS', domainArg, countResult, query),
  domainGetOsType: procedure(19, 'DOMAIN_GET_OS_TYPE', domainArg, struct({ type: string }), query),
  domainGetVcpus: procedure(
    20,
    'DOMAIN_GET_VCPUS',
    struct({ domain: domainRef, maxInfo: i32, mapBytes: i32 }),
    struct({
      vcpus: array(struct({ number: u32, state: i32, cpuTimeNs: u64, cpu: i32 }), limits.vcpuInfos),
      cpuMaps: opaque(limits.cpuMapsBytes),
    }),
    query,
  ),
  domainGetSecurityLabel: procedure(121, 'DOMAIN_GET_SECURITY_LABEL', domainArg, labelRow, query),
  domainIsActive: procedure(150, 'DOMAIN_IS_ACTIVE', domainArg, struct({ active: i32 }), query),
  domainIsPersistent: procedure(151, 'DOMAIN_IS_PERSISTENT', domainArg, struct({ persistent: i32 }), query),
  domainHasManagedSaveImage: procedure(
    183,
    'DOMAIN_HAS_MANAGED_SAVE_IMAGE',
    domainFlags,
    struct({ result: i32 }),
    query,
  ),
  domainGetVcpusFlags: procedure(200, 'DOMAIN_GET_VCPUS_FLAGS', domainFlags, countResult, query),
  domainIsUpdated: procedure(202, 'DOMAIN_IS_UPDATED', domainArg, struct({ updated: i32 }), query),
  domainGetState: procedure(212, 'DOMAIN_GET_STATE', domainFlags, struct({ state: i32, reason: i32 }), query),
  domainGetControlInfo: procedure(
    229,
    'DOMAIN_GET_CONTROL_INFO',
    domainFlags,
    struct({ state: u32, details: u32, stateTimeMs: u64 }),
    query,
  ),
  domainGetSecurityLabelList: procedure(
    278,
    'DOMAIN_GET_SECURITY_LABEL_LIST',
    domainArg,
    struct({ labels: array(labelRow, limits.securityLabels), count: i32 }),
    query,
  ),
  domainGetMessages: procedure(
    426,
    'DOMAIN_GET_MESSAGES',
    domainFlags,
    struct({ messages: array(string, limits.messages) }),
    query,
  ),
} as const
