import { array, struct } from '../xdr/xdr-composites.ts'
import { i32, u32, u64 } from '../xdr/xdr-codec.ts'
import { limits } from './limits.ts'
import { procedure } from './procedure.ts'
import { typedParameters } from './typed-parameter.ts'
import { domainRef } from './wire-types.ts'

const query = { class: 'query' } as const

/** Figures of running domains, all from the last sample, none by asking the machine. */
export const statisticsProcedures = {
  domainMemoryStats: procedure(
    159,
    'DOMAIN_MEMORY_STATS',
    struct({ domain: domainRef, maxStats: u32, flags: u32 }),
    struct({ stats: array(struct({ tag: i32, value: u64 }), limits.memoryStats) }),
    query,
  ),
  domainGetJobInfo: procedure(
    163,
    'DOMAIN_GET_JOB_INFO',
    struct({ domain: domainRef }),
    struct({
      type: i32,
      timeElapsedMs: u64,
      timeRemainingMs: u64,
      dataTotal: u64,
      dataProcessed: u64,
      dataRemaining: u64,
      memoryTotal: u64,
      memoryProcessed: u64,
      memoryRemaining: u64,
      fileTotal: u64,
      fileProcessed: u64,
      fileRemaining: u64,
    }),
    query,
  ),
  domainGetJobStats: procedure(
    298,
    'DOMAIN_GET_JOB_STATS',
    struct({ domain: domainRef, flags: u32 }),
    struct({ type: i32, parameters: typedParameters(limits.jobStats) }),
    query,
  ),
  connectGetAllDomainStats: procedure(
    344,
    'CONNECT_GET_ALL_DOMAIN_STATS',
    struct({ domains: array(domainRef, limits.domains), stats: u32, flags: u32 }),
    struct({
      records: array(struct({ domain: domainRef, parameters: typedParameters(limits.domainStats) }), limits.domains),
    }),
    query,
  ),
} as const
