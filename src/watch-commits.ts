import type { Host } from './commands/host.ts'
import { type AnyFact, decodeFact } from './events/catalogue.ts'
import { UnreadableFactError } from './events/read-fact.ts'
import type { Commit } from './eventstore/event-store-options.ts'
import type { JobProgress } from './reactors/job-progress.ts'
import type { Sampler } from './sampling/sampler.ts'

/** A fact as it was committed, with the stream that it stands on. */
export type CommittedFact = AnyFact & { readonly stream: string }

/** Facts of a commit, each decoded once for all that listen. A fact that this daemon cannot read concerns nobody here. */
export function factsOf(commit: Commit): readonly CommittedFact[] {
  return commit.events.flatMap((event) => {
    try {
      return [{ ...decodeFact(event.type, event), stream: event.stream }]
    } catch (error) {
      if (error instanceof UnreadableFactError) return []
      throw error
    }
  })
}

/** Lets sampling, job progress and those who wait for a job follow what was committed. */
export function followFact(
  fact: CommittedFact,
  parts: { readonly host: Host; readonly sampler: Sampler; readonly progress: JobProgress },
): void {
  const uuid = fact.stream.slice('domain-'.length)
  switch (fact.type) {
    case 'DomainStarted':
      parts.sampler.start(uuid)
      return
    case 'DomainDestroyed':
    case 'DomainShutOff':
    case 'DomainCrashed':
      parts.sampler.stop(uuid)
      return
    case 'BlockJobRequested':
      parts.progress.wake()
      return
    case 'BlockJobPivoted':
    case 'BlockJobCompleted':
    case 'BlockJobFailed':
    case 'BlockJobCancelled':
    case 'BlockJobLost':
      parts.host.jobEnds.noteCommit(fact.data.jobId)
      return
    default:
  }
}
