import type { Tally } from '../eventstore/tally.ts'
import { refusalReasons } from '../eventstore/writer-stats.ts'
import type { MetricsSnapshot, ProjectionLag } from './metrics-source.ts'

/** A value of a metric, with the label that tells it from the others where there is one. */
export interface Sample {
  readonly label?: string
  readonly value: number
}

/** A metric: its name with units last, what it means, and where its values come from. A counter only grows while the daemon runs. */
export type MetricRow = {
  readonly name: `chronovisor_${string}`
  readonly help: string
} & (
  | { readonly kind: 'counter' | 'gauge'; readonly label?: string; read(from: MetricsSnapshot): readonly Sample[] }
  | { readonly kind: 'histogram'; read(from: MetricsSnapshot): Tally }
)

const one = (value: number | bigint | null): readonly Sample[] => (value === null ? [] : [{ value: Number(value) }])
const seconds = (us: bigint | undefined): readonly Sample[] => one(us === undefined ? null : Number(us) / 1e6)
const each = ({ projections }: MetricsSnapshot, read: (of: ProjectionLag) => number | bigint | null) =>
  projections.flatMap((projection) => one(read(projection)).map(({ value }) => ({ label: projection.name, value })))

/** All metrics of the daemon itself, one row each; those of its process come beside them. */
export const metricTable: readonly MetricRow[] = [
  {
    name: 'chronovisor_append_duration_seconds',
    kind: 'histogram',
    help: 'Time from an append being asked for to its answer, of those that are in the log',
    read: ({ log }) => log.writer.appendSeconds,
  },
  {
    name: 'chronovisor_commit_duration_seconds',
    kind: 'histogram',
    help: 'Time that a commit takes in the database',
    read: ({ log }) => log.writer.commitSeconds,
  },
  {
    name: 'chronovisor_commit_size_events',
    kind: 'histogram',
    help: 'Events that share a commit; their number is that of all events appended',
    read: ({ log }) => log.writer.batchEvents,
  },
  {
    name: 'chronovisor_commits_total',
    kind: 'counter',
    help: 'Commits since the start',
    read: ({ log }) => one(log.writer.batchEvents.count),
  },
  {
    name: 'chronovisor_commits_in_doubt_total',
    kind: 'counter',
    help: 'Commits whose callers had to be told that the outcome is not known',
    read: ({ log }) => one(log.writer.inDoubt),
  },
  {
    name: 'chronovisor_appends_refused_total',
    kind: 'counter',
    help: 'Appends that were refused, by reason; decision: by whoever decided on it, or a read model',
    label: 'reason',
    read: ({ log }) => refusalReasons.map((label) => ({ label, value: log.writer.refused.get(label) ?? 0 })),
  },
  {
    name: 'chronovisor_append_queue_requests',
    kind: 'gauge',
    help: 'Appends that wait for their turn',
    read: ({ log }) => one(log.queued.count),
  },
  {
    name: 'chronovisor_append_queue_bytes',
    kind: 'gauge',
    help: 'Bytes of the appends that wait for their turn',
    read: ({ log }) => one(log.queued.bytes),
  },
  {
    name: 'chronovisor_log_available',
    kind: 'gauge',
    help: '1 where the log can be appended to, 0 where not',
    read: ({ log }) => one(log.unavailable === null ? 1 : 0),
  },
  {
    name: 'chronovisor_log_head_position',
    kind: 'gauge',
    help: 'Position of the last event; positions begin at 0',
    read: ({ log }) => one(log.head.position),
  },
  {
    name: 'chronovisor_log_head_commit',
    kind: 'gauge',
    help: 'Number of the last commit',
    read: ({ log }) => one(log.head.commitNo),
  },
  {
    name: 'chronovisor_log_head_timestamp_seconds',
    kind: 'gauge',
    help: 'When the last event was recorded, seconds since 1970',
    read: ({ log }) => seconds(log.head.recordedAtUs),
  },
  {
    name: 'chronovisor_log_epoch',
    kind: 'gauge',
    help: 'How often the log was opened for writing',
    read: ({ log }) => one(log.head.epoch),
  },
  {
    name: 'chronovisor_projection_position',
    kind: 'gauge',
    help: 'Position of the last event that a projection holds',
    label: 'projection',
    read: (from) => each(from, ({ position }) => position),
  },
  {
    name: 'chronovisor_projection_lag_events',
    kind: 'gauge',
    help: 'Events that a projection does not hold yet',
    label: 'projection',
    read: (from) => each(from, ({ lagEvents }) => lagEvents),
  },
  {
    name: 'chronovisor_projection_lag_seconds',
    kind: 'gauge',
    help: 'Age of the oldest event that a projection does not hold yet; absent where the database does not answer',
    label: 'projection',
    read: (from) => each(from, ({ lagSeconds }) => lagSeconds),
  },
  {
    name: 'chronovisor_projection_dead_letters',
    kind: 'gauge',
    help: 'Streams that a projection does not follow any more',
    label: 'projection',
    read: (from) => each(from, ({ deadLetters }) => deadLetters),
  },
  {
    name: 'chronovisor_subscriptions',
    kind: 'gauge',
    help: 'Subscriptions in the daemon, those of gRPC clients included',
    read: ({ log }) => one(log.subscriptions.count),
  },
  {
    name: 'chronovisor_subscription_lag_events',
    kind: 'gauge',
    help: 'Events that the slowest subscription has not looked at yet',
    read: ({ log }) => one(log.subscriptions.lagEvents),
  },
  {
    name: 'chronovisor_feed_readers',
    kind: 'gauge',
    help: 'Connections of other processes that are told of commits',
    read: ({ feedReaders }) => one(feedReaders),
  },
  {
    name: 'chronovisor_ring_events',
    kind: 'gauge',
    help: 'Newest events kept in memory for subscriptions',
    read: ({ log }) => one(log.ring.count),
  },
  {
    name: 'chronovisor_ring_bytes',
    kind: 'gauge',
    help: 'Bytes of the newest events kept in memory',
    read: ({ log }) => one(log.ring.bytes),
  },
  {
    name: 'chronovisor_cached_blobs',
    kind: 'gauge',
    help: 'Big texts kept in memory',
    read: ({ log }) => one(log.cachedBlobs.count),
  },
  {
    name: 'chronovisor_cached_blobs_bytes',
    kind: 'gauge',
    help: 'Bytes of the big texts kept in memory',
    read: ({ log }) => one(log.cachedBlobs.bytes),
  },
  {
    name: 'chronovisor_last_checkpoint_timestamp_seconds',
    kind: 'gauge',
    help: 'When the last checkpoint of the log was signed, seconds since 1970; absent where none was',
    read: ({ checkpoint }) => seconds(checkpoint?.atUs),
  },
  {
    name: 'chronovisor_last_checkpoint_events',
    kind: 'gauge',
    help: 'Events that the last checkpoint vouches for',
    read: ({ checkpoint }) => one(checkpoint?.size ?? null),
  },
  {
    name: 'chronovisor_last_verify_timestamp_seconds',
    kind: 'gauge',
    help: 'When the last verification of the log ended, seconds since 1970; absent where none did',
    read: ({ verify }) => seconds(verify?.atUs),
  },
  {
    name: 'chronovisor_last_verify_duration_seconds',
    kind: 'gauge',
    help: 'How long the last verification took',
    read: ({ verify }) => one(verify?.seconds ?? null),
  },
  {
    name: 'chronovisor_last_verify_events',
    kind: 'gauge',
    help: 'Events that the last verification recomputed',
    read: ({ verify }) => one(verify?.events ?? null),
  },
  {
    name: 'chronovisor_last_verify_findings',
    kind: 'gauge',
    help: 'Contradictions that the last verification found; anything but 0 is an alarm',
    read: ({ verify }) => one(verify?.findings ?? null),
  },
]
