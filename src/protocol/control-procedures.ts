import { array, nothing, optional, struct } from '../xdr/xdr-composites.ts'
import { i64, u32 } from '../xdr/xdr-codec.ts'
import { limits } from './limits.ts'
import { procedure } from './procedure.ts'
import { domainRef, string, stringOrNull } from './wire-types.ts'

const query = { class: 'query' } as const
const modify = { class: 'modify' } as const
/** Changes nothing, but keeps the daemon or its hypervisors at work: not for connections that may only read. */
const costly = { class: 'query', readOnly: false } as const

const paths = array(string, limits.controlLayers)

/**
 * The daemon's own program beside libvirt's (`programs.control`): what its command line asks of it. Spoken on the same
 * sockets, after the same CONNECT_OPEN, by the same rules; libvirt's clients never call it.
 */
export const controlProcedures = {
  chainAdopt: procedure(1, 'CHAIN_ADOPT', struct({ domain: domainRef, disk: string }), struct({ paths }), modify),
  /** A null binary stands for all emulators. */
  capsForget: procedure(2, 'CAPS_FORGET', struct({ binary: stringOrNull }), struct({ forgotten: u32 }), {
    class: 'shared',
  }),
  daemonStatus: procedure(
    3,
    'DAEMON_STATUS',
    nothing,
    struct({ pid: u32, uptimeMs: i64, domains: u32, activeDomains: u32 }),
    query,
  ),
  /** What the hypervisor says of the running domains, beside what the log says, at one moment for each domain. */
  domainsCheck: procedure(
    4,
    'DOMAINS_CHECK',
    nothing,
    struct({
      domains: array(
        struct({
          domain: domainRef,
          /** Why the hypervisor could not be asked; null where it answered. */
          error: stringOrNull,
          disks: array(struct({ disk: string, recorded: paths, found: optional(paths) }), limits.controlDisks),
          jobs: array(string, limits.controlJobs),
        }),
        limits.domains,
      ),
    }),
    costly,
  ),
  /** Replays the log into shadow tables and compares them, and the rows in memory, with what serves. The report is JSON. */
  replayCheck: procedure(5, 'REPLAY_CHECK', nothing, struct({ report: string }), costly),
} as const
