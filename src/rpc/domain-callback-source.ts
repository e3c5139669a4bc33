import type { Reads } from '../commands/reads.ts'
import type { AnyFact, FactOf } from '../events/catalogue.ts'
import {
  blockJobStatus,
  blockJobType,
  type CallbackDomain,
  type DomainCallback,
  lifecycleEvent,
} from './domain-callback.ts'

/** A fact as it was committed. */
export type CommittedFact = AnyFact & { readonly stream: string }

/** Facts that clients hear of as lifecycle events. */
const lifecycleTypes = [
  'DomainDefined',
  'DomainUndefined',
  'DomainStarted',
  'DomainSuspended',
  'DomainResumed',
  'DomainReset',
  'DomainStartFailed',
  'DomainDestroyed',
  'DomainShutOff',
  'DomainCrashed',
] as const
type LifecycleFact = FactOf<(typeof lifecycleTypes)[number]>

/** Facts that begin a job, make it ready or end it. */
const jobTypes = [
  'BlockJobRequested',
  'BlockJobReady',
  'BlockJobPivoted',
  'BlockJobCompleted',
  'BlockJobFailed',
  'BlockJobLost',
  'BlockJobCancelled',
] as const
type JobFact = FactOf<(typeof jobTypes)[number]>

const lifecycleNames: ReadonlySet<string> = new Set(lifecycleTypes)
const jobNames: ReadonlySet<string> = new Set(jobTypes)

function isLifecycleFact(fact: AnyFact): fact is LifecycleFact {
  return lifecycleNames.has(fact.type)
}

function isJobFact(fact: AnyFact): fact is JobFact {
  return jobNames.has(fact.type)
}

interface KnownJob {
  readonly disk: string
  readonly path: string
  readonly type: number
}

/** Jobs remembered at most: a job that never ends in a fact must not stay forever. */
const maxJobs = 10_000
const domainStream = 'domain-'
const noFact: readonly DomainCallback[] = []

/**
 * Tells which events clients get for a committed fact. To be asked once per fact, in log order, after the live view has it; it
 * remembers the names of domains and the disks of jobs that the view forgets with the fact that ends them.
 */
export class DomainCallbackSource {
  readonly #reads: Reads
  readonly #names = new Map<string, string>()
  readonly #jobs = new Map<string, KnownJob>()

  constructor(reads: Reads) {
    this.#reads = reads
    for (const { uuid, name } of reads.domains()) {
      this.#names.set(uuid, name)
      for (const job of reads.jobs(uuid))
        this.#remember(job.job_id, { uuid, disk: job.disk, type: blockJobType[job.kind] })
    }
  }

  /** Events of one fact, in the order in which they are sent. */
  callbacksOf(fact: CommittedFact): readonly DomainCallback[] {
    if (!fact.stream.startsWith(domainStream)) return noFact
    const uuid = fact.stream.slice(domainStream.length)
    const isNew = this.#names.get(uuid) === undefined
    const view = this.#reads.byUuid(uuid)
    const name = view?.name ?? this.#names.get(uuid) ?? uuid
    if (view === null) this.#names.delete(uuid)
    else this.#names.set(uuid, name)
    const domain = { uuid, name, id: view?.id ?? -1 }
    if (isLifecycleFact(fact)) return lifecycleCallbacks(fact, { domain, isNew })
    return isJobFact(fact) ? this.#jobCallbacks(fact, domain) : noFact
  }

  #jobCallbacks(fact: JobFact, domain: CallbackDomain): readonly DomainCallback[] {
    switch (fact.type) {
      case 'BlockJobRequested': {
        const { jobId, disk, kind } = fact.data
        this.#remember(jobId, { uuid: domain.uuid, disk, type: blockJobType[kind] })
        return noFact
      }
      case 'BlockJobReady':
        return this.#job(fact.data.jobId, { domain, status: blockJobStatus.ready, ended: false })
      case 'BlockJobPivoted':
      case 'BlockJobCompleted':
        return this.#job(fact.data.jobId, { domain, status: blockJobStatus.completed, ended: true })
      case 'BlockJobFailed':
      case 'BlockJobLost':
        return this.#job(fact.data.jobId, { domain, status: blockJobStatus.failed, ended: true })
      case 'BlockJobCancelled':
        return this.#job(fact.data.jobId, { domain, status: blockJobStatus.cancelled, ended: true })
    }
  }

  #job(jobId: string, what: { domain: CallbackDomain; status: number; ended: boolean }): readonly DomainCallback[] {
    const job = this.#jobs.get(jobId)
    if (job === undefined) return noFact
    if (what.ended) this.#jobs.delete(jobId)
    // After a pivot the disk is another image: clients are told the one that it is now.
    const completed = what.status === blockJobStatus.completed
    const path = completed ? (this.#activePath(what.domain.uuid, job.disk) ?? job.path) : job.path
    return [{ kind: 'blockJob', domain: what.domain, ...job, path, status: what.status }]
  }

  #remember(jobId: string, { uuid, disk, type }: { uuid: string; disk: string; type: number }): void {
    const [oldest] = this.#jobs.keys()
    if (this.#jobs.size >= maxJobs && oldest !== undefined) this.#jobs.delete(oldest)
    this.#jobs.set(jobId, { disk, path: this.#activePath(uuid, disk) ?? disk, type })
  }

  #activePath(uuid: string, disk: string): string | undefined {
    return this.#reads.chains(uuid).byDisk[disk]?.[0]?.path
  }
}

function lifecycleCallbacks(
  fact: LifecycleFact,
  { domain, isNew }: { readonly domain: CallbackDomain; readonly isNew: boolean },
): readonly DomainCallback[] {
  const { defined, started, suspended, resumed, stopped } = lifecycleEvent
  switch (fact.type) {
    case 'DomainDefined':
      return [lifecycle(domain, defined.event, isNew ? defined.detail.added : defined.detail.updated)]
    case 'DomainUndefined':
      return [lifecycle(domain, lifecycleEvent.undefined.event, lifecycleEvent.undefined.detail.removed)]
    case 'DomainStarted': {
      const began = lifecycle(domain, started.event, started.detail.booted)
      return fact.data.paused ? [began, lifecycle(domain, suspended.event, suspended.detail.paused)] : [began]
    }
    case 'DomainSuspended':
      return [lifecycle(domain, suspended.event, suspended.detail.paused)]
    case 'DomainResumed':
      return [lifecycle(domain, resumed.event, resumed.detail.unpaused)]
    case 'DomainReset':
      return [{ kind: 'reboot', domain }]
    case 'DomainStartFailed':
      return [lifecycle(domain, stopped.event, stopped.detail.failed)]
    case 'DomainDestroyed':
      return [lifecycle(domain, stopped.event, stopped.detail.destroyed)]
    case 'DomainShutOff':
      return [
        lifecycle(domain, stopped.event, stopped.detail[fact.data.reason === 'shutdown' ? 'shutdown' : 'crashed']),
      ]
    case 'DomainCrashed':
      return [lifecycle(domain, stopped.event, stopped.detail.crashed)]
  }
}

function lifecycle(domain: CallbackDomain, event: number, detail: number): DomainCallback {
  return { kind: 'lifecycle', domain, event, detail }
}
