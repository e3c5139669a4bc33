import { decodeMetadata } from '../src/events/metadata.ts'
import { projection } from '../src/readmodel/projection.ts'
import { type RowChange, type RowsOf, table, upsert } from '../src/readmodel/table.ts'
import { type DomainFact, uuidOf } from './domain-fact.ts'

/** A block job and what became of it. */
export interface BlockJobRow {
  readonly job_id: string
  readonly domain_uuid: string
  readonly disk: string
  readonly kind: 'pull' | 'commit' | 'active_commit'
  readonly state:
    | 'requested'
    | 'running'
    | 'ready'
    | 'pivoting'
    | 'finalizing'
    | 'pivoted'
    | 'completed'
    | 'failed'
    | 'cancelled'
    | 'lost'
  readonly base_layer: number
  readonly top_layer: number
  readonly on_ready: 'pivot' | 'keep'
  readonly pivot_requested: boolean
  readonly bytes_per_second: bigint
  readonly requested_by: string
  readonly reason: string | null
  readonly requested_at_us: bigint
  readonly ended_at_us: bigint | null
  readonly error: string | null
}

/** Jobs by id; `by_domain` finds the jobs of a domain that have not ended. */
export const blockJobsTable = table<BlockJobRow>()('block_jobs', ['job_id'], {
  by_domain: (row) => (row.ended_at_us === null ? row.domain_uuid : null),
})

interface JobTables {
  readonly jobs: RowsOf<typeof blockJobsTable>
}

/** Read model of block jobs. */
export const blockJobs = projection<DomainFact>()({
  name: 'block_jobs',
  version: 1,
  live: true,
  tables: { jobs: blockJobsTable },
  on: {
    BlockJobRequested: (event, _rows, recorded) => [
      upsert(blockJobsTable, {
        job_id: event.data.jobId,
        domain_uuid: uuidOf(recorded.stream),
        disk: event.data.disk,
        kind: event.data.kind,
        state: 'requested',
        base_layer: event.data.base,
        top_layer: event.data.top,
        on_ready: event.data.onReady,
        pivot_requested: event.data.onReady === 'pivot',
        bytes_per_second: event.data.bytesPerSecond,
        requested_by: decodeMetadata(recorded.meta).actor.program,
        reason: decodeMetadata(recorded.meta).reason,
        requested_at_us: recorded.recordedAtUs,
        ended_at_us: null,
        error: null,
      }),
    ],
    BlockJobStarted: (event, tables) => change(event.data.jobId, { tables, values: { state: 'running' } }),
    BlockJobReady: (event, tables) => change(event.data.jobId, { tables, values: { state: 'ready' } }),
    BlockJobPivotRequested: (event, tables) => change(event.data.jobId, { tables, values: { pivot_requested: true } }),
    BlockJobSpeedChanged: (event, tables) =>
      change(event.data.jobId, { tables, values: { bytes_per_second: event.data.bytesPerSecond } }),
    BlockJobPivoting: (event, tables) => change(event.data.jobId, { tables, values: { state: 'pivoting' } }),
    BlockJobFinalizing: (event, tables) => change(event.data.jobId, { tables, values: { state: 'finalizing' } }),
    BlockJobPivoted: (event, tables, recorded) =>
      change(event.data.jobId, { tables, values: { state: 'pivoted', ended_at_us: recorded.recordedAtUs } }),
    BlockJobCompleted: (event, tables, recorded) =>
      change(event.data.jobId, { tables, values: { state: 'completed', ended_at_us: recorded.recordedAtUs } }),
    BlockJobFailed: (event, tables, recorded) =>
      change(event.data.jobId, {
        tables,
        values: { state: 'failed', ended_at_us: recorded.recordedAtUs, error: event.data.error },
      }),
    BlockJobCancelled: (event, tables, recorded) =>
      change(event.data.jobId, { tables, values: { state: 'cancelled', ended_at_us: recorded.recordedAtUs } }),
    BlockJobLost: (event, tables, recorded) =>
      change(event.data.jobId, {
        tables,
        values: { state: 'lost', ended_at_us: recorded.recordedAtUs, error: event.data.why },
      }),
  },
})

function change(
  jobId: string,
  update: { readonly tables: JobTables; readonly values: Partial<BlockJobRow> },
): RowChange[] {
  const row = update.tables.jobs.get({ job_id: jobId })
  return row === undefined ? [] : [upsert(blockJobsTable, { ...row, ...update.values })]
}
