import type { AnyFact, FactOf } from '../events/catalogue.ts'
import { newFact } from '../events/catalogue.ts'
import { Fault } from '../util/fault.ts'
import type { ChainEffect } from './chain-effects.ts'

/** A block job that has not ended; it ends by leaving the map of {@link BlockJobs}. */
export interface BlockJob extends ChainEffect {
  readonly jobId: string
  readonly disk: string
  readonly phase: 'requested' | 'running' | 'ready' | 'pivoting' | 'finalizing'
  readonly pivotRequested: boolean
  readonly cancelRequested: boolean
  readonly owners: FactOf<'BlockJobRequested'>['data']['owners']
}

/** Jobs of a domain that have not ended, by id. */
export type BlockJobs = Readonly<Record<string, BlockJob>>

/** What may be asked of, or noted about, a block job. */
export type BlockJobCommand =
  | { readonly kind: 'request'; readonly data: FactOf<'BlockJobRequested'>['data'] }
  | { readonly kind: 'pivot'; readonly disk: string }
  | { readonly kind: 'cancel'; readonly disk: string }
  | { readonly kind: 'noteStarted' | 'noteReady'; readonly jobId: string }
  | { readonly kind: 'finalize'; readonly jobId: string; readonly from: string; readonly to: string }

/** The job of a disk, if one has not ended. */
export function jobOfDisk(jobs: BlockJobs, disk: string): BlockJob | undefined {
  return Object.values(jobs).find((job) => job.disk === disk)
}

/** What follows from a command; commands about jobs that ended meanwhile lead to nothing. */
export function decideBlockJob(command: BlockJobCommand, jobs: BlockJobs): readonly AnyFact[] {
  switch (command.kind) {
    case 'request': {
      const busy = jobOfDisk(jobs, command.data.disk)
      if (busy !== undefined) {
        throw new Fault(
          'block_job_active',
          `disk "${command.data.disk}" already has an active block job: ${busy.kind} is ${busy.phase}`,
        )
      }
      return [newFact('BlockJobRequested', command.data)]
    }
    case 'pivot': {
      const job = activeJob(jobs, command.disk)
      if (job.kind !== 'active_commit')
        throw new Fault(
          'operation_invalid',
          `Cannot pivot disk "${command.disk}": its job is a ${job.kind}, only an active commit can pivot`,
        )
      if (job.cancelRequested)
        throw new Fault('operation_invalid', `Cannot pivot disk "${command.disk}": its job is being cancelled`)
      return job.pivotRequested ? [] : [newFact('BlockJobPivotRequested', { jobId: job.jobId })]
    }
    case 'cancel': {
      const job = activeJob(jobs, command.disk)
      if (isDecided(job))
        throw new Fault(
          'operation_invalid',
          `Cannot cancel the block job of disk "${command.disk}": it is ${job.phase}`,
        )
      return job.cancelRequested ? [] : [newFact('BlockJobCancelRequested', { jobId: job.jobId })]
    }
    case 'noteStarted':
      return jobs[command.jobId]?.phase === 'requested' ? [newFact('BlockJobStarted', { jobId: command.jobId })] : []
    case 'noteReady': {
      const phase = jobs[command.jobId]?.phase
      return phase === 'requested' || phase === 'running' ? [newFact('BlockJobReady', { jobId: command.jobId })] : []
    }
    case 'finalize': {
      const job = jobs[command.jobId]
      if (job === undefined || job.cancelRequested || isDecided(job)) return []
      if (job.kind !== 'active_commit') return [newFact('BlockJobFinalizing', { jobId: job.jobId })]
      return [newFact('BlockJobPivoting', { jobId: job.jobId, from: command.from, to: command.to })]
    }
  }
}

/** The jobs after a fact. */
export function evolveBlockJobs(jobs: BlockJobs, event: AnyFact): BlockJobs {
  switch (event.type) {
    case 'BlockJobRequested': {
      const { jobId, disk, kind, base, top, onReady, owners } = event.data
      return {
        ...jobs,
        [jobId]: {
          jobId,
          disk,
          kind,
          base,
          top,
          owners,
          phase: 'requested',
          pivotRequested: onReady === 'pivot',
          cancelRequested: false,
        },
      }
    }
    case 'BlockJobStarted':
      return changed(jobs, event.data.jobId, { phase: 'running' })
    case 'BlockJobReady':
      return changed(jobs, event.data.jobId, { phase: 'ready' })
    case 'BlockJobPivotRequested':
      return changed(jobs, event.data.jobId, { pivotRequested: true })
    case 'BlockJobCancelRequested':
      return changed(jobs, event.data.jobId, { cancelRequested: true })
    case 'BlockJobPivoting':
      return changed(jobs, event.data.jobId, { phase: 'pivoting' })
    case 'BlockJobFinalizing':
      return changed(jobs, event.data.jobId, { phase: 'finalizing' })
    case 'BlockJobPivoted':
    case 'BlockJobCompleted':
    case 'BlockJobFailed':
    case 'BlockJobCancelled':
    case 'BlockJobLost': {
      const { [event.data.jobId]: _ended, ...others } = jobs
      return others
    }
    default:
      return jobs
  }
}

/** Whether the log says that the job takes effect: from then on it cannot be given up. */
export function isDecided(job: BlockJob): boolean {
  return job.phase === 'pivoting' || job.phase === 'finalizing'
}

function activeJob(jobs: BlockJobs, disk: string): BlockJob {
  const job = jobOfDisk(jobs, disk)
  if (job === undefined) throw new Fault('block_job_missing', `disk ${disk} does not have an active block job`)
  return job
}

function changed(jobs: BlockJobs, jobId: string, change: Partial<BlockJob>): BlockJobs {
  const job = jobs[jobId]
  return job === undefined ? jobs : { ...jobs, [jobId]: { ...job, ...change } }
}
