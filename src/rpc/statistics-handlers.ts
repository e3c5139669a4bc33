import type { DomainView } from '../commands/reads.ts'
import type { statisticsProcedures } from '../protocol/statistics-procedures.ts'
import { Fault } from '../util/fault.ts'
import { type Call, refuseUnknownFlags, requireDomain } from './call.ts'
import type { Handlers } from './dispatcher.ts'
import { selectDomains } from './domain-filter.ts'
import { domainStatistics, servedStatistics, wantsMonitors } from './domain-statistics.ts'
import { domainRefOf } from './lookup-handlers.ts'
import { type Soon, soon } from './soon.ts'

/** `virConnectGetAllDomainStatsFlags`; the low byte selects domains as in lists. Nothing waits here, so "no wait" is always so. */
const statsFlag = { selection: 0xff, noWait: 2 ** 29, backing: 2 ** 30, enforce: 2 ** 31 } as const
/** `virDomainMemoryStatTags`. */
const memoryTag = { actualBalloon: 6, rss: 7 } as const
const jobFlags = { completed: 1, keepCompleted: 2 } as const

const noJob = {
  type: 0,
  timeElapsedMs: 0n,
  timeRemainingMs: 0n,
  dataTotal: 0n,
  dataProcessed: 0n,
  dataRemaining: 0n,
  memoryTotal: 0n,
  memoryProcessed: 0n,
  memoryRemaining: 0n,
  fileTotal: 0n,
  fileProcessed: 0n,
  fileRemaining: 0n,
} as const

/** Handlers of figures. */
export const statisticsHandlers: Handlers<typeof statisticsProcedures, Call> = {
  domainMemoryStats({ reads, domains }, { domain, maxStats, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_MEMORY_STATS')
    const view = requireDomain(reads, domain)
    if (!view.active) throw new Fault('operation_invalid', 'domain is not running')
    const sample = domains.sample(view.uuid)
    if (sample === null) return { stats: [] }
    const balloon = sample.balloonBytes
    const stats = [
      ...(balloon === null ? [] : [{ tag: memoryTag.actualBalloon, value: balloon / 1024n }]),
      { tag: memoryTag.rss, value: sample.residentBytes / 1024n },
    ]
    return { stats: stats.slice(0, maxStats) }
  },
  domainGetJobInfo({ reads }, { domain }) {
    requireActive(requireDomain(reads, domain))
    return noJob
  },
  domainGetJobStats({ reads }, { domain, flags }) {
    refuseUnknownFlags(flags, jobFlags.completed | jobFlags.keepCompleted, 'DOMAIN_GET_JOB_STATS')
    requireActive(requireDomain(reads, domain))
    return { type: 0, parameters: [] }
  },
  connectGetAllDomainStats(call, { domains: wanted, stats, flags }) {
    refuseUnknownFlags(flags, 0xe00000ff, 'CONNECT_GET_ALL_DOMAIN_STATS')
    const unserved = (stats & ~servedStatistics) >>> 0
    if ((flags & statsFlag.enforce) !== 0 && unserved !== 0) {
      throw new Fault(
        'argument_unsupported',
        `Stats types bits 0x${unserved.toString(16)} are not supported by this daemon`,
      )
    }
    const named = wanted.flatMap((domain) => call.reads.byUuid(domain.uuid) ?? [])
    const views = wanted.length > 0 ? named : selectDomains(call.reads, flags & statsFlag.selection)
    return all(views.map((view) => record(call, view, stats)))
  },
}

function requireActive(view: DomainView): void {
  if (!view.active) throw new Fault('operation_invalid', 'domain is not running')
}

function record({ reads, domains }: Call, domain: DomainView, stats: number) {
  const sample = domain.active ? domains.sample(domain.uuid) : null
  const monitors = domain.active && wantsMonitors(stats) ? domains.monitors(domain) : []
  return soon(domains.definition(domain, { inactive: false }), (definition) => ({
    domain: domainRefOf(domain),
    parameters: domainStatistics({ domain, definition, chains: reads.chains(domain.uuid), sample, monitors }, stats),
  }))
}

/** The records at once when all of them are there, else when the last one is. */
function all<T>(records: readonly Soon<T>[]): Soon<{ readonly records: readonly T[] }> {
  const ready: T[] = []
  for (const one of records) {
    if (one instanceof Promise) return Promise.all(records).then((list) => ({ records: list }))
    ready.push(one)
  }
  return { records: ready }
}
