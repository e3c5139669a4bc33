import { array, nothing, optional, struct } from '../xdr/xdr-composites.ts'
import { bool, double, i64, u32 } from '../xdr/xdr-codec.ts'
import { limits } from './limits.ts'
import { procedure } from './procedure.ts'
import { domainRef, string, stringOrNull } from './wire-types.ts'

const query = { class: 'query' } as const
const modify = { class: 'modify' } as const
/** Changes nothing, but keeps the daemon or its hypervisors at work: not for connections that may only read. */
const costly = { class: 'query', readOnly: false } as const

const paths = array(string, limits.controlLayers)

/** What became of a stream that a projection was to follow again: `error` is null where it does, `position` the event that it stopped at. */
const resumedStream = struct({ stream: string, followed: bool, position: i64, attempts: u32, error: stringOrNull })

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
  /** Has a projection try again to follow a quarantined stream, or with null all of them. */
  projectionRetry: procedure(
    6,
    'PROJECTION_RETRY',
    struct({ projection: string, stream: stringOrNull }),
    struct({ streams: array(resumedStream, limits.controlStreams) }),
    { class: 'shared' },
  ),
  /** Has a projection leave out the event that it could not take, and follow the stream from the next. */
  projectionSkip: procedure(7, 'PROJECTION_SKIP', struct({ projection: string, stream: string }), resumedStream, {
    class: 'shared',
  }),
  /** Puts the build of a projection that is ready in place of the tables that serve. */
  projectionSwitch: procedure(
    8,
    'PROJECTION_SWITCH',
    struct({ projection: string }),
    struct({ position: i64, lockedMs: double, heldMs: double }),
    { class: 'shared' },
  ),
  /** How far each projection is, with its dead letters and its tables. The report is JSON. */
  projectionStatus: procedure(9, 'PROJECTION_STATUS', nothing, struct({ report: string }), query),
  /** How the log is, as its writer sees it; answered also while the database is away. The report is JSON. */
  logStatus: procedure(14, 'LOG_STATUS', nothing, struct({ report: string }), query),
  /** Signs what the log is now; the same note again as long as nothing is appended. With the key that verifies it. */
  checkpointSign: procedure(10, 'CHECKPOINT_SIGN', nothing, struct({ note: string, key: string }), { class: 'shared' }),
  /** Takes the data of an event away for good. `position`: of the event that records it; `texts`: big texts that went with it. */
  payloadErase: procedure(
    11,
    'PAYLOAD_ERASE',
    struct({ position: i64, reason: string }),
    struct({ stream: string, type: string, dataSha256: string, texts: u32, position: i64 }),
    { class: 'shared' },
  ),
  /** Emulators of the host and of the log with the state of their capability versions; none is run. */
  capsEmulators: procedure(
    12,
    'CAPS_EMULATORS',
    nothing,
    struct({ emulators: array(struct({ binary: string, state: string }), limits.controlEmulators) }),
    query,
  ),
  /** Asks an emulator now, whatever is known of it. */
  capsProbe: procedure(13, 'CAPS_PROBE', struct({ binary: string }), struct({ capsId: string, isNew: bool }), {
    class: 'shared',
  }),
} as const
