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
  const pendingSinceMs = host.clock.monotonicMs()
  await host.reach('job.pending')
  const layers = domain.chains.byDisk[job.disk] ?? []
  const command = {
    kind: 'finalize',
    jobId: step.jobId,
    from: layers[0]?.path ?? '',
    to: pathOf(layers, job.base),
  } as const
  const found: { state: 'gone' | 'decided' | 'undecided' } = { state: 'undecided' }
  const recorded = record(host, step.context, {
    kind: 'fact',
    decide: (turn) => {
      const { jobs } = domainIn(turn, step.uuid)
      const facts = decideBlockJob(command, jobs)
      const now = jobs[step.jobId]
      found.state = now === undefined ? 'gone' : facts.length > 0 || isDecided(now) ? 'decided' : 'undecided'
      return [{ stream: domainStream(step.uuid), facts }]
    },
    signal: AbortSignal.timeout(host.limits.pivotRecordMs),
  })
  try {
    await withinLimit(recorded, host.limits.pivotRecordMs)
  } catch (error) {
    return await giveUp(host, step, error)
  }
  await host.reach('job.recorded')
  if (found.state === 'gone') return
  // Cancelled while the record waited for its turn: nothing says that the job takes effect, so it must not.
  if (found.state === 'undecided') return await host.driver.cancelJob(step.uuid, step.jobId, deadline(host))
  await host.driver.finalizeJob(step.uuid, step.jobId, deadline(host))
  host.jobEnds.noteFrozen(step.jobId, Math.round(host.clock.monotonicMs() - pendingSinceMs))
  await host.reach('job.finalized')
}

/** A record that is on its way when the limit is reached may still become durable: the job's outcome, recorded after it, says what holds. */
async function withinLimit(recorded: Promise<unknown>, limitMs: number): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`The record was not durable within ${limitMs} ms`)), limitMs)
  try {
    await Promise.race([recorded, promise])
  } finally {
    clearTimeout(timer)
    recorded.catch(() => undefined)
  }
}

/** The guest's writes are held in PENDING: better no pivot now than a guest that waits for a database. */
async function giveUp(host: Host, step: JobStep, why: unknown): Promise<void> {
  host.notes.error(
    { err: why, domain: step.uuid, job: step.jobId },
    'The effect of a block job could not be recorded in time and is given up',
  )
  host.jobEnds.noteGivenUp(step.jobId)
  await host.driver.cancelJob(step.uuid, step.jobId, deadline(host))
}

/** Ends PENDING while the log is away: by what was durable before it went, as the live view has it, else without effect. */
export async function endPending(host: Host, step: JobStep, why: unknown): Promise<void> {
  const row = host.reads.jobs(step.uuid).find((job) => job.job_id === step.jobId)
  if (row?.state === 'pivoting' || row?.state === 'finalizing')
    await host.driver.finalizeJob(step.uuid, step.jobId, deadline(host))
  else await giveUp(host, step, why)
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
      frozenMs: host.jobEnds.frozenMs(jobId),
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
