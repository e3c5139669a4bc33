import type { BlockJobEvent } from '../src/events/block-job-events.ts'
import type { ChainEvent } from '../src/events/chain-events.ts'
import type { LifecycleEvent } from '../src/events/lifecycle-events.ts'
import type { SnapshotEvent } from '../src/events/snapshot-events.ts'

/** Everything that stands on the stream of a domain. */
export type DomainFact = LifecycleEvent | ChainEvent | BlockJobEvent | SnapshotEvent

/** UUID in the name of a domain's stream. */
export function uuidOf(stream: string): string {
  return stream.slice('domain-'.length)
}
