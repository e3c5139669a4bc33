import { type AnyFact, type FactOf, newFact } from '../events/catalogue.ts'
import type { Turn } from '../eventstore/turn.ts'
import type { ClaimRow } from '../../projections/claims.ts'
import type { FileIdentity, OwnershipChange } from '../driver/images.ts'
import type { BlockJob } from '../model/block-job.ts'
import { chainAfter } from '../model/chain-effects.ts'
import { afterRun, type Domain, evolveDomain } from '../model/domain.ts'
import { type FactsAndTexts, recordFollowed } from './follow-chain.ts'
import type { Host } from './host.ts'
import { releaseClaims } from './image-claims.ts'
import { type Context, domainIn, type Proposal, readDomain } from './record.ts'
import { snapshotOutcome } from './settle-snapshot.ts'

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
  await host.images.restore(before.granted)
  await recordFollowed(host, context, {
    uuid,
    facts: async (domain) => await lastFacts(host, { uuid, domain, how }),
    still: (domain) => domain.run.phase !== 'off',
    release: (turn) => released(turn, { uuid, claims: host.reads.claimsOf(uuid) }),
  })
}

/** Outcomes of all that lived in the dead process, with the files as they were left, and the end itself. */
async function lastFacts(
  host: Host,
  of: { readonly uuid: string; readonly domain: Domain; readonly how: EndOfRun },
): Promise<FactsAndTexts> {
  const { uuid, domain, how } = of
  if (domain.run.phase === 'off') return { facts: [], texts: [] }
  const snapshot = await snapshotOutcome(host, { uuid, domain, isDead: true })
  const outcomes = [...snapshot.facts, ...(await settleJobs(host, domain))]
  const files = await filesOf(host, outcomes.reduce(evolveDomain, domain))
  const end = outcome(how, { files, restored: domain.granted })
  return { facts: [...outcomes, end, ...afterRun(domain)], texts: snapshot.texts }
}

/** Images and ports of the run, and the name of a domain that has no definition any more. */
function released(
  turn: Turn,
  of: { readonly uuid: string; readonly claims: readonly ClaimRow[] },
): readonly Proposal[] {
  const isGone = domainIn(turn, of.uuid).definition === null
  const given = of.claims.filter((claim) => claim.kind !== 'name' || isGone)
  return releaseClaims(
    turn,
    given.map(({ kind, subject }) => ({ kind, subject, domain: of.uuid })),
  )
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
  if (host.jobEnds.isGivenUp(jobId)) {
    const error = 'Its effect could not be recorded in time and was given up; then the process of the domain ended'
    return newFact('BlockJobFailed', { jobId, error })
  }
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
