import type { CommitParticipant } from './eventstore/commit-participant.ts'
import type { Participant } from './library-participant.ts'

/** What a participant is inside, and what it wants to know of the store. */
export interface Enlisted {
  readonly participant: CommitParticipant
  /** The store is open. */
  opened(): void
  /** The store is about to be closed. */
  closing(): Promise<void>
}

const enlisted = new WeakMap<Participant, Enlisted>()

/** Lets a participant be handed from one entry point of the package to the other without showing what it is made of. */
export function enlist(participant: Participant, as: Enlisted): void {
  enlisted.set(participant, as)
}

/** What a participant is inside. Throws where it was not made by this package. */
export function enlistedAs(participant: Participant): Enlisted {
  const found = enlisted.get(participant)
  if (found !== undefined) return found
  throw new Error(
    `Cannot open the log with participant "${participant.name}": it must be the ReadModels of this package`,
  )
}
