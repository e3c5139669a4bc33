import type { DeadLetter } from './dead-letters.ts'
import type { Projection } from './projection.ts'

/** How far a projection is, as the process that runs it knows: nothing of it is read from the database. */
export interface ProjectionProgress {
  readonly name: string
  readonly live: boolean
  /** The last event that its tables hold. */
  readonly position: bigint
  readonly lagEvents: bigint
  /** Streams that it does not follow any more. */
  readonly deadLetters: number
}

/** How far a projection at a position is from the end of the log. */
export function progressOf(
  { name, live }: Pick<Projection, 'name' | 'live'>,
  {
    position,
    head,
    letters,
  }: { readonly position: bigint; readonly head: bigint; readonly letters: readonly DeadLetter[] },
): ProjectionProgress {
  const deadLetters = letters.filter(({ projection }) => projection === name).length
  return { name, live, position, lagEvents: position < head ? head - position : 0n, deadLetters }
}
