import type { RecordedEvent } from './recorded-event.ts'

/** How the state of a decider comes from its stream; states are remembered under `name`, so it must be unique for its meaning. `evolve` is pure. */
export interface StreamFold<State> {
  readonly name: string
  readonly initial: State
  evolve(state: State, event: RecordedEvent): State
}
