/** A pure model of one thing: what may happen to it (`decide`), and what that means (`evolve`). No clock, randomness or I/O. */
export interface Decider<Command, Event, State> {
  readonly initial: State
  /** Facts that the command leads to; throws a Fault that states the current and the wanted state. */
  decide(command: Command, state: State): readonly Event[]
  /** The state after a fact. Facts of other deciders on the same stream are ignored. */
  evolve(state: State, event: Event): State
}
