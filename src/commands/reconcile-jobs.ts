import type { HypervisorJob } from '../driver/driver.ts'
import { type AnyFact, newFact } from '../events/catalogue.ts'
import type { BlockJob } from '../model/block-job.ts'
import { chainAfter } from '../model/chain-effects.ts'
import type { Domain } from '../model/domain.ts'
import { commandOfJob } from '../model/job-id.ts'
import { recordFollowed } from './follow-chain.ts'
import type { Host } from './host.ts'
import { type Context, readDomain } from './record.ts'
import { recordDrifts } from './record-drifts.ts'

/** Takes on the jobs that the hypervisor still has, and decides those that it does not have any more. */
export async function reconcileJobs(
  host: Host,
  context: Context,
  what: { readonly uuid: string; readonly domain: Domain; readonly jobs: readonly HypervisorJob[] },
): Promise<void> {
  const { uuid, domain, jobs } = what
  const known = new Set(jobs.map((job) => job.jobId))
  for (const job of Object.values(domain.jobs)) {
    const step = { uuid, jobId: job.jobId, context: { ...context, correlationId: commandOfJob(job.jobId) } }
    if (known.has(job.jobId)) await host.carryOn(step)
    else await decideAbsent(host, step.context, { uuid, job })
  }
  for (const job of jobs) {
    if (domain.jobs[job.jobId] !== undefined) continue
    if (job.status === 'concluded') await host.driver.dismissJob(uuid, job.jobId, deadline(host))
    else
      host.notes.warn(
        { domain: uuid, job: job.jobId, status: job.status },
        'The hypervisor has a block job that the log does not know; it is left alone',
      )
  }
}

/** A job that is not in the hypervisor without our dismissal: the node graph says whether it took effect. */
async function decideAbsent(
  host: Host,
  context: Context,
  what: { readonly uuid: string; readonly job: BlockJob },
): Promise<void> {
  const { uuid, job } = what
  let isFailed = false
  await recordFollowed(host, context, {
    uuid,
    facts: async (domain) => {
      const fact = await absentOutcome(host, { uuid, job, domain })
      isFailed = fact.type === 'BlockJobFailed'
      return { facts: [fact], texts: [] }
    },
    still: (domain) => domain.jobs[job.jobId] !== undefined,
  })
  if (isFailed) await host.images.restore(job.owners)
}

async function absentOutcome(
  host: Host,
  what: { readonly uuid: string; readonly job: BlockJob; readonly domain: Domain },
): Promise<AnyFact> {
  const { uuid, job, domain } = what
  const { jobId, disk } = job
  const layers = domain.chains.byDisk[disk] ?? []
  const after = chainAfter(
    layers.map((layer) => layer.index),
    job,
  )
  const found = (await host.driver.queryChains(uuid, deadline(host))).find((chain) => chain.target === disk)
  const paths = found?.layers.map((layer) => layer.path) ?? []
  const wanted = after.flatMap((index) => layers.find((layer) => layer.index === index)?.path ?? [])
  if (same(paths, wanted) && after.length < layers.length) {
    if (job.kind === 'active_commit')
      return newFact('BlockJobPivoted', { jobId, disk, chain: [...after], frozenMs: null, settledBy: 'record' })
    return newFact('BlockJobCompleted', { jobId, disk, chain: [...after], files: [] })
  }
  if (
    same(
      paths,
      layers.map((layer) => layer.path),
    )
  )
    return newFact('BlockJobFailed', {
      jobId,
      error: `The job was ${job.phase} in the log and is not in the hypervisor: it never ran, the chain is as before`,
    })
  return newFact('BlockJobLost', {
    jobId,
    why: `The job is not in the hypervisor, whose chain is ${paths.join(' -> ') || 'unknown'}`,
  })
}

/** Compares the chains of a running domain with those of the hypervisor; a difference is recorded, nothing is changed. */
export async function reconcileChains(host: Host, context: Context, uuid: string): Promise<void> {
  const domain = await readDomain(host, uuid)
  if (Object.keys(domain.jobs).length > 0) return
  const found = await host.driver.queryChains(uuid, deadline(host))
  const drifts = found.flatMap((chain) => {
    const recorded = (domain.chains.byDisk[chain.target] ?? []).map((layer) => layer.path)
    const paths = chain.layers.map((layer) => layer.path)
    if (same(recorded, paths)) return []
    const at = recorded.findIndex((path, index) => path !== paths[index])
    const layer = recorded[at] ?? paths[recorded.length] ?? chain.target
    return [
      newFact('DriftDetected', {
        disk: chain.target,
        layer,
        why: 'The hypervisor of the running domain has another chain than the log',
        recorded,
        found: paths,
      }),
    ]
  })
  await recordDrifts(host, context, { uuid, drifts })
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((path, at) => path === b[at])
}

function deadline(host: Host): AbortSignal {
  return AbortSignal.timeout(host.limits.hypervisorMs)
}
