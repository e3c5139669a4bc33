import type { HypervisorJob, HypervisorJobStatus } from '../driver/driver.ts'
import { type AnyFact, newFact } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'
import { type BlockJob, decideBlockJob, isDecided } from '../model/block-job.ts'
import { chainAfter, invalidAfterCancel } from '../model/chain-effects.ts'
import type { Layer } from '../model/chain.ts'
import type { Domain } from '../model/domain.ts'
import { recordFollowed } from './follow-chain.ts'
import type { Host } from './host.ts'
import { type Context, domainIn, readDomain, record } from './record.ts'

/** Which job, and on whose account its steps are recorded. */
export interface JobStep {
  readonly uuid: string
  readonly jobId: string
  readonly context: Context
}

/**
 * Takes a job one step on from what the hypervisor says it is at. Called for every change and at every restart; what was
 * done already is not done again. The order is the promise: the record of a pivot is durable before the hypervisor makes
 * it, the outcome before the hypervisor forgets the job.
 */
export async function advanceJob(host: Host, step: JobStep, status: HypervisorJobStatus): Promise<void> {
  const domain = await readDomain(host, step.uuid)
  const job = domain.jobs[step.jobId]
  if (job === undefined) {
    if (status === 'concluded') await host.driver.dismissJob(step.uuid, step.jobId, deadline(host))
    return
  }
  if (job.cancelRequested && !isDecided(job) && status !== 'concluded' && status !== 'aborting' && status !== 'null') {
    await host.driver.cancelJob(step.uuid, step.jobId, deadline(host))
    return
  }
  switch (status) {
    case 'running':
      await note(host, step, 'noteStarted')
      await host.reach('job.running')
      return
    case 'ready':
      return await atReady(host, step, job)
    case 'pending':
      return await atPending(host, step, { job, domain })
    case 'concluded':
      return await atConcluded(host, step)
    case 'created':
    case 'paused':
    case 'standby':
    case 'waiting':
    case 'aborting':
    case 'null':
      return
  }
}

async function note(host: Host, step: JobStep, kind: 'noteStarted' | 'noteReady'): Promise<void> {
  await record(host, step.context, {
    kind: 'fact',
    decide: (turn) => [
      {
        stream: domainStream(step.uuid),
        facts: decideBlockJob({ kind, jobId: step.jobId }, domainIn(turn, step.uuid).jobs),
      },
    ],
  })
}

async function atReady(host: Host, step: JobStep, job: BlockJob): Promise<void> {
  await note(host, step, 'noteReady')
  await host.reach('job.ready')
  // A pivot or a cancel may have been asked for while READY was being recorded.
  const now = (await readDomain(host, step.uuid)).jobs[step.jobId] ?? job
  if (now.cancelRequested) await host.driver.cancelJob(step.uuid, step.jobId, deadline(host))
  else if (now.pivotRequested && now.phase === 'ready')
    await host.driver.completeJob(step.uuid, step.jobId, deadline(host))
}

async function atPending(
  host: Host,
  step: JobStep,
  at: { readonly job: BlockJob; readonly domain: Domain },
): Promise<void> {
  const { job, domain } = at
  await host.reach('job.pending')
  const layers = domain.chains.byDisk[job.disk] ?? []
  const command = {
    kind: 'finalize',
    jobId: step.jobId,
    from: layers[0]?.path ?? '',
    to: pathOf(layers, job.base),
  } as const
  try {
    await record(host, step.context, {
      kind: 'fact',
      decide: (turn) => [
        { stream: domainStream(step.uuid), facts: decideBlockJob(command, domainIn(turn, step.uuid).jobs) },
      ],
      signal: AbortSignal.timeout(host.limits.pivotRecordMs),
    })
  } catch (error) {
    // The guest's writes are held meanwhile: better no pivot now than a guest that waits for a database.
    host.notes.error(
      { err: error, domain: step.uuid, job: step.jobId },
      'The pivot could not be recorded in time and is given up',
    )
    await host.driver.cancelJob(step.uuid, step.jobId, deadline(host))
    return
  }
  await host.reach('job.recorded')
  const now = (await readDomain(host, step.uuid)).jobs[step.jobId]
  if (now === undefined) return
  // Cancelled while the record waited for its turn: nothing says that the job takes effect, so it must not.
  if (!isDecided(now)) {
    await host.driver.cancelJob(step.uuid, step.jobId, deadline(host))
    return
  }
  await host.driver.finalizeJob(step.uuid, step.jobId, deadline(host))
  await host.reach('job.finalized')
}

async function atConcluded(host: Host, step: JobStep): Promise<void> {
  await host.reach('job.concluded')
  const jobs = await host.driver.queryJobs(step.uuid, deadline(host))
  const concluded = jobs.find((job) => job.jobId === step.jobId)
  if (concluded !== undefined) {
    await recordJobOutcome(host, step, concluded)
    await host.reach('job.outcome')
    await host.driver.dismissJob(step.uuid, step.jobId, deadline(host))
  }
}

/** Records what a concluded job came to, with the chain it left behind and the definition that follows it. */
export async function recordJobOutcome(
  host: Host,
  step: JobStep,
  concluded: Pick<HypervisorJob, 'error'>,
): Promise<void> {
  await recordFollowed(host, step.context, {
    uuid: step.uuid,
    facts: async (domain) => {
      const job = domain.jobs[step.jobId]
      const facts = job === undefined ? [] : [await outcomeOf(host, { job, domain, error: concluded.error })]
      return { facts, texts: [] }
    },
    still: (domain) => domain.jobs[step.jobId] !== undefined,
  })
}

async function outcomeOf(
  host: Host,
  ended: { readonly job: BlockJob; readonly domain: Domain; readonly error: string | null },
): Promise<AnyFact> {
  const { job, domain, error } = ended
  const { jobId, disk } = job
  const layers = domain.chains.byDisk[disk] ?? []
  const indexes = layers.map((layer) => layer.index)
  if (error === null && job.phase === 'finalizing') return await completed(host, { job, layers })
  if (error === null && job.phase === 'pivoting') {
    return newFact('BlockJobPivoted', {
      jobId,
      disk,
      chain: [...chainAfter(indexes, job)],
      frozenMs: null,
      settledBy: 'hypervisor',
    })
  }
  if (error !== null && !job.cancelRequested) return newFact('BlockJobFailed', { jobId, error })
  // Without a record of its effect the hypervisor was told to give it up: at the end of an active commit that is no error.
  const invalid = invalidAfterCancel(indexes, job).map((index) => pathOf(layers, index))
  return newFact('BlockJobCancelled', { jobId, invalid })
}

/** A pull or an inactive commit that went well: the layers that are left, with their files as they are now. */
async function completed(
  host: Host,
  ended: { readonly job: BlockJob; readonly layers: readonly Layer[] },
): Promise<AnyFact> {
  const { job, layers } = ended
  const { jobId, disk } = job
  const chain = chainAfter(
    layers.map((layer) => layer.index),
    job,
  )
  const kept = layers.filter((layer) => chain.includes(layer.index))
  const files = await Promise.all(
    kept.map(async (layer) => ({ index: layer.index, file: await host.images.stat(layer.path) })),
  )
  return newFact('BlockJobCompleted', {
    jobId,
    disk,
    chain: [...chain],
    files: files.flatMap(({ index, file }) => (file === null ? [] : [{ index, file }])),
  })
}

function pathOf(layers: readonly Layer[], index: number): string {
  return layers.find((layer) => layer.index === index)?.path ?? ''
}

function deadline(host: Host): AbortSignal {
  return AbortSignal.timeout(host.limits.hypervisorMs)
}
