import { array, nothing, struct } from '../xdr/xdr-composites.ts'
import { i32, i64, u32, u64 } from '../xdr/xdr-codec.ts'
import { limits } from './limits.ts'
import { procedure } from './procedure.ts'
import { typedParameters } from './typed-parameter.ts'
import { domainRef, string, stringOrNull } from './wire-types.ts'

const query = { class: 'query' } as const
const modify = { class: 'modify' } as const
const diskFlags = struct({ domain: domainRef, disk: string, flags: u32 })
const diskBandwidthFlags = struct({ domain: domainRef, disk: string, bandwidth: u64, flags: u32 })

/** Disks of a domain and the jobs on their backing chains. A disk is named by its target or by the path of its image. */
export const blockProcedures = {
  domainBlockStats: procedure(
    64,
    'DOMAIN_BLOCK_STATS',
    struct({ domain: domainRef, disk: string }),
    struct({ readRequests: i64, readBytes: i64, writeRequests: i64, writeBytes: i64, errors: i64 }),
    query,
  ),
  domainGetBlockInfo: procedure(
    194,
    'DOMAIN_GET_BLOCK_INFO',
    diskFlags,
    struct({ allocationBytes: u64, capacityBytes: u64, physicalBytes: u64 }),
    query,
  ),
  domainBlockJobAbort: procedure(237, 'DOMAIN_BLOCK_JOB_ABORT', diskFlags, nothing, modify),
  domainGetBlockJobInfo: procedure(
    238,
    'DOMAIN_GET_BLOCK_JOB_INFO',
    diskFlags,
    struct({ found: i32, type: i32, bandwidth: u64, current: u64, end: u64 }),
    query,
  ),
  domainBlockJobSetSpeed: procedure(239, 'DOMAIN_BLOCK_JOB_SET_SPEED', diskBandwidthFlags, nothing, modify),
  domainBlockPull: procedure(240, 'DOMAIN_BLOCK_PULL', diskBandwidthFlags, nothing, modify),
  domainBlockStatsFlags: procedure(
    243,
    'DOMAIN_BLOCK_STATS_FLAGS',
    struct({ domain: domainRef, disk: string, maxParameters: i32, flags: u32 }),
    struct({ parameters: typedParameters(limits.blockStats), count: i32 }),
    query,
  ),
  domainGetDiskErrors: procedure(
    263,
    'DOMAIN_GET_DISK_ERRORS',
    struct({ domain: domainRef, maxErrors: u32, flags: u32 }),
    struct({ errors: array(struct({ disk: string, error: i32 }), limits.diskErrors), count: i32 }),
    query,
  ),
  domainBlockRebase: procedure(
    266,
    'DOMAIN_BLOCK_REBASE',
    struct({ domain: domainRef, disk: string, base: stringOrNull, bandwidth: u64, flags: u32 }),
    nothing,
    modify,
  ),
  domainBlockCommit: procedure(
    290,
    'DOMAIN_BLOCK_COMMIT',
    struct({
      domain: domainRef,
      disk: string,
      base: stringOrNull,
      top: stringOrNull,
      bandwidth: u64,
      flags: u32,
    }),
    nothing,
    modify,
  ),
} as const
