import type { StreamWrite } from './recorded-event.ts'
import type { StreamFold } from './stream-fold.ts'

/** What a decision may look at inside the commit turn: the committed log plus what this batch has taken so far. Valid during the call only. */
export interface Turn {
  /** The stamp every event of this commit will carry, microseconds since 1970. */
  readonly recordedAtUs: bigint
  /** The position the first event of this request will get. */
  readonly nextPosition: bigint
  /** The last revision of a stream, null where it does not exist. */
  revision(stream: string): bigint | null
  /** The state of a stream by its fold, from memory where it was used before. */
  state<State>(fold: StreamFold<State>, stream: string): State
}

/**
 * Decides in the writer's turn what to append; pure and synchronous. It may run more than once (what it asks for and is not in memory is
 * loaded, then it runs again), so it must not act; what it throws refuses this request only. No writes at all is a valid decision.
 */
export type Decide = (turn: Turn) => readonly StreamWrite[]
