import fc from 'fast-check'
import type { AnyFact } from '../../src/events/catalogue.ts'
import { decideBlockJob, jobOfDisk } from '../../src/model/block-job.ts'
import { chainAfter } from '../../src/model/chain-effects.ts'
import { afterRun, decideUndefine, type Domain, evolveDomain, noDomain } from '../../src/model/domain.ts'
import { decideSnapshotDelete } from '../../src/model/snapshots.ts'
import { factOf, layerOf } from './facts.ts'

/** What may happen to a domain next; numbers choose among what is there. */
interface Step {
  readonly what: keyof typeof steps
  readonly pick: number
  readonly flag: boolean
}

const disks = ['vda', 'vdb'] as const

/** Facts that a step leads to, none where the state forbids it: the shape of every command, without a hypervisor. */
const steps = {
  define: (domain: Domain) => [factOf('DomainDefined', { name: domain.definition?.name ?? 'web' })],
  undefine: (domain: Domain) => (domain.definition === null ? [] : decideUndefine(domain, { dropSnapshots: true })),
  mark: (domain: Domain, { flag }: Step) =>
    domain.definition === null ? [] : [factOf('DomainAutostartChanged', { autostart: flag })],
  start: (domain: Domain, { flag }: Step) => {
    if (domain.definition === null || domain.run.phase !== 'off') return []
    const { nextIndex, byDisk } = domain.chains
    const unknown = disks.filter((disk) => byDisk[disk] === undefined)
    const detected = unknown.map((disk, at) =>
      factOf('BackingChainDetected', {
        disk,
        layers: [layerOf(nextIndex + at * 2), layerOf(nextIndex + at * 2 + 1)],
      }),
    )
    return [...detected, factOf('DomainStartRequested', { paused: flag, domainId: nextIndex })]
  },
  started: (domain: Domain, { pick }: Step) => {
    if (domain.run.phase !== 'starting') return []
    return pick % 5 === 0
      ? [factOf('DomainStartFailed'), ...afterRun(domain)]
      : [factOf('DomainStarted', { paused: domain.run.requested.paused, domainId: domain.run.requested.domainId })]
  },
  ask: (domain: Domain, { pick }: Step) => {
    const asked = [
      'DomainSuspendRequested',
      'DomainResumeRequested',
      'DomainResetRequested',
      'DomainShutdownRequested',
    ] as const
    const type = asked[pick % asked.length]
    return domain.run.phase === 'running' && domain.intent === null && type !== undefined ? [factOf(type)] : []
  },
  answer: (domain: Domain, { flag }: Step) => {
    if (domain.intent === null) return []
    if (flag) return [factOf('CommandFailed', { intent: domain.intent })]
    switch (domain.intent) {
      case 'DomainSuspendRequested':
        return [factOf('DomainSuspended')]
      case 'DomainResumeRequested':
        return [factOf('DomainResumed')]
      case 'DomainResetRequested':
        return [factOf('DomainReset')]
      case 'DomainShutdownRequested':
        return [factOf('DomainPowerButtonPressed')]
      case 'DomainDestroyRequested':
        return []
    }
  },
  byItself: (domain: Domain, { pick }: Step) => {
    const own = [
      factOf('DomainSuspended', { cause: 'hypervisor' }),
      factOf('DomainResumed', { cause: 'hypervisor' }),
      factOf('DomainReset', { cause: 'guest' }),
    ]
    return domain.run.phase === 'running' ? own.slice(pick % 3, (pick % 3) + 1) : []
  },
  end: (domain: Domain, { pick }: Step) => {
    if (domain.run.phase !== 'running') return []
    const layers = Object.values(domain.chains.byDisk).flat()
    const files = layers.map(({ index, path, file }) => ({ index, path, file: { ...file, ctimeNs: BigInt(pick) } }))
    const lost = Object.values(domain.jobs).map(({ jobId }) => factOf('BlockJobFailed', { jobId }))
    const kinds = ['DomainDestroyed', 'DomainShutOff', 'DomainCrashed'] as const
    return [...lost, factOf(kinds[pick % 3] ?? 'DomainDestroyed', { files }), ...afterRun(domain)]
  },
  snapshotAsked: (domain: Domain, { pick }: Step) => {
    const name = `s${domain.chains.nextIndex}`
    const wanted = disks.filter((disk, at) => (pick >> at) % 2 === 0 && domain.chains.byDisk[disk] !== undefined)
    const isFree = wanted.every((disk) => jobOfDisk(domain.jobs, disk) === undefined)
    if (domain.run.phase === 'starting' || domain.snapshotIntent !== null || !isFree || wanted.length === 0) return []
    const parent = domain.snapshots.current
    const overlays = wanted.map((disk, at) => {
      const overlay = domain.chains.nextIndex + at
      return { disk, active: domain.chains.byDisk[disk]?.[0]?.index ?? 0, overlay, path: `/l${overlay}` }
    })
    return [factOf('SnapshotRequested', { name, parent, disks: overlays })]
  },
  snapshotDone: (domain: Domain, { pick }: Step) => {
    const { snapshotIntent: intent } = domain
    if (intent === null) return []
    if (pick % 5 === 0) return [factOf('CommandFailed', { intent: 'SnapshotRequested' })]
    const made = disks.map((disk) => {
      const own = intent.disks.find((one) => one.disk === disk)
      return {
        disk,
        snapshot: own === undefined ? 'no' : 'external',
        overlay: own === undefined ? null : layerOf(own.overlay),
      }
    })
    return [factOf('SnapshotCreated', { name: intent.name, parent: domain.snapshots.current, disks: made })]
  },
  snapshotDeleted: (domain: Domain, { pick, flag }: Step) => {
    const names = Object.keys(domain.snapshots.parents)
    const name = names[pick % Math.max(names.length, 1)]
    if (name === undefined) return []
    return decideSnapshotDelete(domain.snapshots, { name, children: flag, childrenOnly: pick % 3 === 0 })
  },
  jobAsked: (domain: Domain, { pick, flag }: Step) => {
    const disk = disks[pick % disks.length] ?? 'vda'
    const layers = (domain.chains.byDisk[disk] ?? []).map((layer) => layer.index)
    const isFree = domain.run.phase === 'running' && domain.snapshotIntent === null
    if (!isFree || layers.length < 2 || jobOfDisk(domain.jobs, disk) !== undefined) return []
    const kind = (['pull', 'commit', 'active_commit'] as const)[pick % 3] ?? 'pull'
    const topAt = kind === 'commit' ? 1 : 0
    const baseAt = topAt + 1 + (pick % Math.max(layers.length - topAt - 1, 1))
    const top = layers[topAt]
    const base = layers[baseAt]
    if (top === undefined || base === undefined) return []
    const jobId = `job-${domain.chains.nextIndex}-${pick}`
    return [
      factOf('BlockJobRequested', {
        jobId,
        disk,
        kind,
        top,
        base: kind === 'pull' && flag ? -1 : base,
        onReady: flag ? 'pivot' : 'keep',
      }),
    ]
  },
  jobGoesOn: (domain: Domain, { pick }: Step) => {
    const jobs = Object.values(domain.jobs)
    const job = jobs[pick % Math.max(jobs.length, 1)]
    if (job === undefined) return []
    const { jobId, disk } = job
    if (job.phase === 'requested') return decideBlockJob({ kind: 'noteStarted', jobId }, domain.jobs)
    if (job.phase === 'running' && job.kind === 'active_commit')
      return decideBlockJob({ kind: 'noteReady', jobId }, domain.jobs)
    if (job.phase === 'running' || job.phase === 'ready') {
      return decideBlockJob({ kind: 'finalize', jobId, from: '', to: '' }, domain.jobs)
    }
    const indexes = (domain.chains.byDisk[disk] ?? []).map((layer) => layer.index)
    const chain = [...chainAfter(indexes, job)]
    const files = chain.map((index) => ({ index, file: { ...layerOf(index).file, mtimeNs: BigInt(pick) } }))
    return job.phase === 'pivoting'
      ? [factOf('BlockJobPivoted', { jobId, disk, chain })]
      : [factOf('BlockJobCompleted', { jobId, disk, chain, files })]
  },
  jobEnds: (domain: Domain, { pick }: Step) => {
    const jobs = Object.values(domain.jobs)
    const job = jobs[pick % Math.max(jobs.length, 1)]
    if (job === undefined) return []
    const { jobId } = job
    const ends = [
      factOf('BlockJobFailed', { jobId }),
      factOf('BlockJobCancelled', { jobId }),
      factOf('BlockJobLost', { jobId }),
    ]
    return ends.slice(pick % 3, (pick % 3) + 1)
  },
  forget: (domain: Domain, { pick }: Step) =>
    domain.run.phase === 'off' && domain.snapshotIntent === null
      ? [factOf('BackingChainForgotten', { disk: disks[pick % 2] ?? 'vda' })]
      : [],
  drift: (_domain: Domain, { pick }: Step) => [factOf('DriftDetected', { disk: disks[pick % 2] ?? 'vda' })],
} as const satisfies Record<string, (domain: Domain, step: Step) => readonly AnyFact[]>

const names = [
  'define',
  'undefine',
  'mark',
  'start',
  'started',
  'ask',
  'answer',
  'byItself',
  'end',
  'snapshotAsked',
  'snapshotDone',
  'snapshotDeleted',
  'jobAsked',
  'jobGoesOn',
  'jobEnds',
  'forget',
  'drift',
] as const satisfies readonly (keyof typeof steps)[]
/** What happens most: a domain runs, has snapshots, and its jobs go on, or nothing much could be compared. */
const often = { start: 10, started: 10, snapshotAsked: 4, snapshotDone: 8, jobAsked: 6, jobGoesOn: 24 } as const
const anyName = fc.oneof(
  ...names.map((name) => ({
    arbitrary: fc.constant(name),
    weight: new Map<string, number>(Object.entries(often)).get(name) ?? 1,
  })),
)

/** The life of a domain: facts in an order in which commands could have recorded them. */
export const anyLife: fc.Arbitrary<readonly AnyFact[]> = fc
  .array(fc.record({ what: anyName, pick: fc.nat(50), flag: fc.boolean() }), {
    minLength: 40,
    maxLength: 120,
    size: 'max',
  })
  .map((chosen) => {
    const facts: AnyFact[] = [factOf('DomainDefined')]
    let domain = facts.reduce(evolveDomain, noDomain)
    for (const step of chosen) {
      const own = steps[step.what](domain, step)
      domain = own.reduce<Domain>(evolveDomain, domain)
      facts.push(...own)
    }
    return facts
  })
