import type { Config } from './config.ts'
import { AppendShares } from './commands/append-shares.ts'
import { CapsCache } from './commands/caps-cache.ts'
import { type Reach, reachNothing } from './commands/crash-points.ts'
import { DomainJobs } from './commands/domain-jobs.ts'
import type { CommandLog, Host, Log } from './commands/host.ts'
import { JobEnds } from './commands/job-ends.ts'
import { JobRunner } from './commands/job-runner.ts'
import { LiveReads, type LiveRows } from './commands/live-reads.ts'
import { Refusals } from './commands/refusals.ts'
import { Texts } from './commands/texts.ts'
import type { Driver } from './driver/driver.ts'
import type { Images } from './driver/images.ts'
import { type Clock, systemClock } from './util/clock.ts'

/** What a host is made of; all of it can be replaced by the composition root, nothing of it is global. */
export interface HostParts {
  readonly hostId: string
  readonly config: Config
  readonly log: Log
  readonly rows: LiveRows
  readonly driver: Driver
  readonly images: Images
  readonly notes: CommandLog
  readonly reach?: Reach
  readonly clock?: Clock
}

/** Limits of commands in milliseconds. */
const limits = { hypervisorMs: 30_000, startMs: 60_000, probeMs: 30_000, pivotWaitMs: 60_000, pivotRecordMs: 2_000 }

/** Jobs that may wait for one domain; half of them of one user. */
const maxWaitingJobs = 400

/** Texts kept in memory: definitions of about ten thousand domains. */
const textLimits = { maxBytes: 256 << 20, maxParsed: 2_000 }

/** Puts a host together; the job runner is part of it and is returned for the reactors. */
export function composeHost(parts: HostParts): { readonly host: Host; readonly runner: JobRunner } {
  const { hostId, config, log, driver, images, notes, reach = reachNothing, clock = systemClock } = parts
  const reads = new LiveReads(parts.rows)
  const texts = new Texts(log.blobs, textLimits)
  const base = { hostId, log, reads, texts, driver, images, notes, clock, limits, shares: new AppendShares() }
  const runner: JobRunner = new JobRunner(() => host)
  const host: Host = {
    ...base,
    jobs: new DomainJobs(clock, { waitMs: config.jobWaitMs, maxWaiting: maxWaitingJobs }),
    caps: new CapsCache(base),
    refusals: new Refusals(base),
    jobEnds: new JobEnds(parts.rows.jobs),
    carryOn: async (step) => await runner.carryOn(step),
    reach,
    unsettled: new Set(),
    vncPorts: { first: config.vncPortFirst, last: config.vncPortLast },
  }
  return { host, runner }
}
