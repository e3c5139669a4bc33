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
    return {
      report: JSON.stringify(report, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    }
  },
}
