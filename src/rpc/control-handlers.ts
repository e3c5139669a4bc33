import type { LogControl } from '../commands/log-control.ts'
import type { ProjectionControl } from '../commands/projection-control.ts'
import type { controlProcedures } from '../protocol/control-procedures.ts'
import { Fault } from '../util/fault.ts'
import { type Call, requireDomain } from './call.ts'
import type { Handlers } from './dispatcher.ts'

/** Our own program: what the command line asks of the daemon. */
export const controlHandlers: Handlers<typeof controlProcedures, Call> = {
  async chainAdopt({ reads, commands, caller }, { domain, disk }) {
    return { paths: await commands.adoptChain(caller, { uuid: requireDomain(reads, domain).uuid, disk }) }
  },
  capsForget: async ({ commands, caller }, { binary }) => ({
    forgotten: await commands.forgetCapabilities(caller, { binary }),
  }),
  async capsEmulators({ commands }) {
    const emulators = await commands.knownEmulators()
    return { emulators: emulators.map(({ binary, state }) => ({ binary, state })) }
  },
  capsProbe: async ({ commands, caller }, { binary }) => await commands.probeEmulator(caller, { binary }),
  daemonStatus({ reads }) {
    const domains = reads.domains()
    const activeDomains = domains.filter((domain) => domain.active).length
    const uptimeMs = BigInt(Math.round(process.uptime() * 1000))
    return { pid: process.pid, uptimeMs, domains: domains.length, activeDomains }
  },
  async domainsCheck({ commands, caller }) {
    const checked = await commands.checkDomains(caller)
    const domains = checked.map(({ uuid, name, error, disks, jobs }) => ({
      domain: { uuid, name, id: -1 },
      error,
      disks,
      jobs,
    }))
    return { domains }
  },
  async replayCheck({ connection }) {
    const report = await connection.backend.replayCheck?.()
    if (report === undefined) throw new Fault('no_support', 'REPLAY_CHECK')
    return { report: jsonOf(report) }
  },
  async projectionRetry({ connection, caller }, wanted) {
    return { streams: await projectionsOf(connection, caller).retry(caller, wanted) }
  },
  async projectionSkip({ connection, caller }, wanted) {
    return await projectionsOf(connection, caller).skip(caller, wanted)
  },
  async projectionSwitch({ connection, caller }, wanted) {
    return await projectionsOf(connection, caller).switchTo(caller, wanted)
  },
  async projectionStatus({ connection, caller }) {
    return { report: jsonOf(await projectionsOf(connection, caller).status()) }
  },
  logStatus: ({ connection, caller }) => ({ report: jsonOf(logOf(connection, caller).status()) }),
  async checkpointSign({ connection, caller }) {
    return await logOf(connection, caller).signCheckpoint()
  },
  async payloadErase({ connection, caller }, wanted) {
    return await logOf(connection, caller).erasePayload(caller, wanted)
  },
}

function logOf({ backend }: Call['connection'], { procedure }: Call['caller']): LogControl {
  if (backend.log === undefined) throw new Fault('no_support', procedure)
  return backend.log
}

function projectionsOf({ backend }: Call['connection'], { procedure }: Call['caller']): ProjectionControl {
  if (backend.projections === undefined) throw new Fault('no_support', procedure)
  return backend.projections
}

/** Numbers of 64 bits as decimal strings. */
function jsonOf(report: object): string {
  return JSON.stringify(report, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}
