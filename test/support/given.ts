import { expect } from 'vitest'
import type { AnyFact } from '../../src/events/catalogue.ts'
import type { Decider } from '../../src/model/decider.ts'

/** What follows from a command. */
export interface Outcome {
  /** It leads to exactly these facts. */
  thenFacts(...facts: readonly AnyFact[]): void
  /** It is refused, in words that hold this text. */
  thenThrows(text: string): void
}

/**
 * A specification in three steps: given these facts, when this is asked for, then that follows.
 *
 * @example
 * given(blockJob, [requested]).when({ kind: 'pivot', disk: 'vda' }).thenFacts(pivotRequested)
 */
export function given<Command, State>(model: Decider<Command, AnyFact, State>, facts: readonly AnyFact[]) {
  const state = facts.reduce((before, fact) => model.evolve(before, fact), model.initial)
  return {
    /** The state itself, where it is what matters. */
    state,
    when(command: Command): Outcome {
      const decide = (): readonly AnyFact[] => model.decide(command, state)
      return {
        thenFacts: (...expected) => expect(decide()).toEqual(expected),
        thenThrows: (text) => expect(decide).toThrow(text),
      }
    },
  }
}
