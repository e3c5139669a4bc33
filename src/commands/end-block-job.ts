import { newFact } from '../events/catalogue.ts'
import type { BlockJobRow } from '../../projections/block-jobs.ts'
import { domainStream } from '../events/stream-names.ts'
import { decideBlockJob, jobOfDisk } from '../model/block-job.ts'
import { requireRunning } from '../model/domain.ts'
import { Fault } from '../util/fault.ts'
import type { Caller } from './caller.ts'
import { requireKnown } from './define-domain.ts'
import { chainOfDisk } from './find-layer.ts'
import type { Host } from './host.ts'
import { domainIn, record } from './record.ts'
import { runCommand, type Task } from './run-command.ts'

/** Pivots to, or gives up, the block job of a disk. What was asked for is carried out by the daemon even if the client does not wait. */
export async function endBlockJob(
  host: Host,
  caller: Caller,
  request: { readonly uuid: string; readonly disk: string; readonly pivot: boolean; readonly wait: boolean },
): Promise<void> {
  const { uuid, pivot } = request
  const jobId = await runCommand(host, { caller, uuid, subject: `${uuid} ${request.disk}` }, async (task) => {
    requireKnown(host, uuid)
    const id = await recordIntent(host, task, request)
    if (pivot) await host.reach('job.pivotRequested')
    await host.carryOn({ uuid, jobId: id, context: task.context })
    return id
  })
  if (!request.wait) return
  const row = await host.jobEnds.wait(jobId, host.limits.pivotWaitMs)
  refuseOtherEnd(row, { disk: request.disk, pivot })
}

async function recordIntent(
  host: Host,
  task: Task,
  request: { readonly uuid: string; readonly disk: string; readonly pivot: boolean },
): Promise<string> {
  let jobId = ''
  await record(host, task.context, {
    kind: 'intent',
    decide: (turn) => {
      const domain = domainIn(turn, request.uuid)
      requireRunning(domain)
      const { target } = chainOfDisk(domain.chains.byDisk, request.disk)
      const facts = decideBlockJob({ kind: request.pivot ? 'pivot' : 'cancel', disk: target }, domain.jobs)
      jobId = jobOfDisk(domain.jobs, target)?.jobId ?? ''
      return [{ stream: domainStream(request.uuid), facts }]
    },
  })
  task.intended = true
  return jobId
}

function refuseOtherEnd(row: BlockJobRow, wanted: { readonly disk: string; readonly pivot: boolean }): void {
  const good = wanted.pivot ? row.state === 'pivoted' : row.state === 'cancelled'
  if (good) return
  const action = wanted.pivot ? 'pivot' : 'cancel the job of'
  throw new Fault(
    'operation_failed',
    `Cannot ${action} disk "${wanted.disk}": the job is ${row.state}${row.error === null ? '' : `: ${row.error}`}`,
  )
}

/** Changes the speed limit of a disk's job; 0 = no limit. Nothing is recorded where it is that already. */
export async function setBlockJobSpeed(
  host: Host,
  caller: Caller,
  request: { readonly uuid: string; readonly disk: string; readonly bytesPerSecond: bigint },
): Promise<void> {
  const { uuid, bytesPerSecond } = request
  await runCommand(host, { caller, uuid }, async (task) => {
    requireKnown(host, uuid)
    const { target } = chainOfDisk(host.reads.chains(uuid).byDisk, request.disk)
    const job = host.reads.jobs(uuid).find((row) => row.disk === target)
    if (job === undefined)
      throw new Fault('block_job_missing', `disk ${request.disk} does not have an active block job`)
    const jobId = job.job_id
    await host.driver.setJobSpeed(uuid, jobId, bytesPerSecond, AbortSignal.timeout(host.limits.hypervisorMs))
    await record(host, task.context, {
      kind: 'fact',
      decide: (turn) => {
        const changes = domainIn(turn, uuid).jobs[jobId] !== undefined && job.bytes_per_second !== bytesPerSecond
        const facts = changes ? [newFact('BlockJobSpeedChanged', { jobId, bytesPerSecond })] : []
        return [{ stream: domainStream(uuid), facts }]
      },
    })
  })
}
