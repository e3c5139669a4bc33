import type { Operation, SeenMoment, SeenRevision } from './history.ts'

/** What the clients of a run did and were told. It lives in a process that no fault touches. */
export class Recorder {
  readonly operations: Operation[] = []
  readonly revisions: SeenRevision[] = []
  readonly moments: SeenMoment[] = []
  #tick = 0
  #acknowledged = 0

  /** Appends that were acknowledged so far. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  /** Writes an append and its end down. */
  add(operation: Operation): void {
    this.operations.push(operation)
    if (operation.told.kind === 'acknowledged') this.#acknowledged += 1
  }

  /** The next tick: one for everything that is sent or heard. */
  tick(): number {
    this.#tick += 1
    return this.#tick
  }

  /** How many operations ended so. */
  count(kind: Operation['told']['kind']): number {
    return this.operations.reduce((sum, { told }) => sum + (told.kind === kind ? 1 : 0), 0)
  }
}
