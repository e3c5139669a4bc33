import type { Driver } from '../driver/driver.ts'
import type { Images } from '../driver/images.ts'
import type { AppendOptions, AppendResult, BlobReader } from '../eventstore/event-store-options.ts'
import type { LogReader } from '../eventstore/log-reader.ts'
import type { Decide } from '../eventstore/turn.ts'
import type { Clock } from '../util/clock.ts'
import type { JobStep } from './advance-job.ts'
import type { AppendShares } from './append-shares.ts'
import type { CapsCache } from './caps-cache.ts'
import type { Reach } from './crash-points.ts'
import type { DomainJobs } from './domain-jobs.ts'
import type { JobEnds } from './job-ends.ts'
import type { LiveReads } from './live-reads.ts'
import type { Refusals } from './refusals.ts'
import type { Texts } from './texts.ts'

/** The part of the event store that commands use. */
export interface Log extends LogReader {
  append(decide: Decide, options?: AppendOptions): Promise<AppendResult>
  readonly blobs: BlobReader
}

/** Where a command's own words for people go; payloads never do. */
export interface CommandLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Limits of commands; all times in milliseconds. */
export interface CommandLimits {
  /** Longest wait for one answer of a hypervisor. */
  readonly hypervisorMs: number
  readonly startMs: number
  readonly probeMs: number
  /** Longest time a client waits for a pivot that it asked for. */
  readonly pivotWaitMs: number
  /** The record of a pivot must be durable within this time, or the pivot is given up: the guest's writes are held meanwhile. */
  readonly pivotRecordMs: number
}

/** What commands work with: the log, what it says now, the hypervisor, the images. Nothing here is global. */
export interface Host {
  readonly hostId: string
  readonly log: Log
  readonly reads: LiveReads
  readonly texts: Texts
  readonly driver: Driver
  readonly images: Images
  readonly jobs: DomainJobs
  readonly caps: CapsCache
  readonly refusals: Refusals
  readonly shares: AppendShares
  readonly jobEnds: JobEnds
  /** Looks at a job in the hypervisor and takes it as far as it can go; steps of one job never run at the same time. */
  carryOn(step: JobStep): Promise<void>
  readonly clock: Clock
  readonly reach: Reach
  readonly notes: CommandLog
  readonly limits: CommandLimits
  /** Domains whose last outcome could not be recorded: reconciled as soon as the log is back. */
  readonly unsettled: Set<string>
  /** First and last TCP port that displays may get. */
  readonly vncPorts: { readonly first: number; readonly last: number }
}
