import { type AnyFact, type FactOf, newFact } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'
import type { FileIdentity, OwnershipChange } from '../driver/images.ts'
import type { BlockJob } from '../model/block-job.ts'
import { chainAfter } from '../model/chain-effects.ts'
import { afterRun, type Domain } from '../model/domain.ts'
import { releaseName } from './define-domain.ts'
import { followChain } from './follow-chain.ts'
import type { Host } from './host.ts'
import { releaseClaims } from './image-claims.ts'
import { type Context, domainIn, type Proposal, readDomain, record } from './record.ts'

/** How a run ended, in the words of the fact that will say so. */
export type EndOfRun =
  | { readonly kind: 'destroyed' }
  | { readonly kind: 'shutOff'; readonly reason: FactOf<'DomainShutOff'>['data']['reason']; readonly detail: string }
  | { readonly kind: 'crashed'; readonly detail: string }
  | { readonly kind: 'neverStarted'; readonly detail: string }

/**
 * Records the end of a run whose process is dead: jobs get their outcome, files go back to their owners and are noted as
 * they are, claims are given back; one atomic append. Nothing is recorded where the run ended already.
 */
export async function endRun(
  host: Host,
  context: Context,
  ended: { readonly uuid: string; readonly how: EndOfRun },
): Promise<void> {
  const { uuid, how } = ended
  const before = await readDomain(host, uuid)
  if (before.run.phase === 'off') return
  const restored = ownersOf(before)
  await host.images.restore(restored)
  const files = await filesOf(host, before)
  const settled = await settleJobs(host, before)
  const followed = await followChain(host, { uuid, domain: before, facts: settled })
  const claims = host.reads.claimsOf(uuid).filter((claim) => claim.kind !== 'name')
  await record(host, context, {
    kind: 'fact',
    decide: (turn) => {
      const domain = domainIn(turn, uuid)
      if (domain.run.phase === 'off') return []
      const end = outcome(how, { files, restored })
      const jobs = settled.filter((fact) => concernsOpenJob(fact, domain))
      const facts = [...jobs, ...followed.facts, end, ...afterRun(domain)]
      const own: Proposal = { stream: domainStream(uuid), facts, texts: followed.texts }
      const released = releaseClaims(
        turn,
        claims.map(({ kind, subject }) => ({ kind, subject, domain: uuid })),
      )
      const name = domain.definition === null ? [releaseName(turn, { name: domain.run.requested.name, uuid })] : []
      return [own, ...released, ...name]
    },
  })
}

function outcome(
  how: EndOfRun,
  end: { readonly files: FactOf<'DomainDestroyed'>['data']['files']; readonly restored: readonly OwnershipChange[] },
): AnyFact {
  const data = { files: [...end.files], restored: [...end.restored] }
  switch (how.kind) {
    case 'destroyed':
      return newFact('DomainDestroyed', data)
    case 'shutOff':
      return newFact('DomainShutOff', { ...data, reason: how.reason, detail: how.detail })
    case 'crashed':
      return newFact('DomainCrashed', { ...data, detail: how.detail })
    case 'neverStarted':
      return newFact('DomainStartFailed', { error: how.detail, restored: data.restored })
  }
}

/** Ownership changes of the start and of all jobs, the earliest first: the first owner of each file is the one it goes back to. */
function ownersOf(domain: Domain): readonly OwnershipChange[] {
  const changes = [
    ...(domain.run.phase === 'off' ? [] : domain.run.requested.owners),
    ...Object.values(domain.jobs).flatMap((job) => job.owners),
  ]
  const first = new Map<string, OwnershipChange>()
  for (const change of changes) if (!first.has(change.path)) first.set(change.path, change)
  return [...first.values()]
}

async function filesOf(
  host: Host,
  domain: Domain,
): Promise<{ index: number; path: string; file: FileIdentity | null }[]> {
  const layers = Object.values(domain.chains.byDisk).flat()
  return await Promise.all(layers.map(async ({ index, path }) => ({ index, path, file: await host.images.stat(path) })))
}

/** The outcome of each job that lived in the dead process: what the record says where it says enough, else what the headers say. */
async function settleJobs(host: Host, domain: Domain): Promise<readonly AnyFact[]> {
  return await Promise.all(Object.values(domain.jobs).map(async (job) => await settleJob(host, domain, job)))
}

async function settleJob(host: Host, domain: Domain, job: BlockJob): Promise<AnyFact> {
  const layers = domain.chains.byDisk[job.disk] ?? []
  const indexes = layers.map((layer) => layer.index)
  const { jobId, disk } = job
  const after = chainAfter(indexes, job)
  if (job.phase === 'pivoting') {
    return newFact('BlockJobPivoted', { jobId, disk, chain: [...after], frozenMs: null, settledBy: 'record' })
  }
  const active = layers[0]
  if (job.phase === 'finalizing' && active !== undefined) {
    const found = await host.images.readChain(
      { given: [{ path: active.path, format: active.format }], terminated: false },
      AbortSignal.timeout(host.limits.hypervisorMs),
    )
    const wanted = after.flatMap((index) => layers.find((layer) => layer.index === index)?.path ?? [])
    const done = found.length === wanted.length && found.every((layer, at) => layer.path === wanted[at])
    if (done) return newFact('BlockJobCompleted', { jobId, disk, chain: [...after], files: [] })
  }
  return newFact('BlockJobFailed', { jobId, error: `The process of the domain ended while the job was ${job.phase}` })
}

function concernsOpenJob(fact: AnyFact, domain: Domain): boolean {
  return 'jobId' in fact.data && domain.jobs[fact.data.jobId] !== undefined
}
