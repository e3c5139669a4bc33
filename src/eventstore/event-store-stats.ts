import type { LogHead } from './recorded-event.ts'
import type { WriterStats } from './writer-stats.ts'

/** How a log is at this moment, as its writer sees it: nothing of it is read from the database. */
export interface EventStoreStats {
  readonly head: LogHead
  readonly writer: WriterStats
  /** Why nothing can be appended, in words; null where it can. */
  readonly unavailable: string | null
  /** Appends that wait for their turn. */
  readonly queued: Amount
  /** The newest events, kept in memory for those who follow the log. */
  readonly ring: Amount
  readonly subscriptions: SubscriptionStats
  /** Big texts kept in memory. */
  readonly cachedBlobs: Amount
}

/** A number of things, and their bytes. */
export interface Amount {
  readonly count: number
  readonly bytes: number
}

/** Those who follow the log in this process: how many, how many events the slowest is behind. */
export interface SubscriptionStats {
  readonly count: number
  readonly lagEvents: bigint
}
