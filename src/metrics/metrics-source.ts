import type { EventStoreStats } from '../eventstore/event-store-stats.ts'
import type { ProjectionProgress } from '../readmodel/projection-progress.ts'

/** How the last verification of the log ended. */
export interface LastVerify {
  /** When it ended, microseconds since 1970. */
  readonly atUs: bigint
  readonly seconds: number
  /** Events that it recomputed. */
  readonly events: bigint
  /** Contradictions that it found. */
  readonly findings: number
}

/** The last signed checkpoint of the log. */
export interface LastCheckpoint {
  /** When it was signed, microseconds since 1970. */
  readonly atUs: bigint
  /** Events that it vouches for. */
  readonly size: bigint
}

/** What one scrape tells of, taken at one moment. */
export interface MetricsSnapshot {
  readonly log: EventStoreStats
  readonly projections: readonly ProjectionLag[]
  /** Processes that read the log by its feed. */
  readonly feedReaders: number
  readonly checkpoint: LastCheckpoint | null
  readonly verify: LastVerify | null
}

/** How far a projection is; the age of the oldest event that it has not taken in, null where the database does not say. */
export interface ProjectionLag extends ProjectionProgress {
  readonly lagSeconds: number | null
}
