import type { CommitParticipant, StagedRequest } from '../../src/eventstore/commit-participant.ts'
import type { RecordedEvent, StreamWrite } from '../../src/eventstore/recorded-event.ts'
import type { Decide } from '../../src/eventstore/turn.ts'

/**
 * Hears of events with their positions before they are committed, as a participant of the commit may. Nothing that is right can be
 * built on it alone: broken builds are.
 */
export class StagedEvents implements CommitParticipant {
  readonly name = 'staged-events'
  readonly #waiting = new Map<string, (events: readonly RecordedEvent[]) => void>()
  #lastPosition = -1n

  /** The last position given out so far. */
  get lastPosition(): bigint {
    return this.#lastPosition
  }

  /** The events of an append once they have their positions. */
  waitFor(writes: readonly StreamWrite[]): Promise<readonly RecordedEvent[]> {
    const id = firstId(writes)
    if (id === undefined) return Promise.resolve([])
    return new Promise((resolve) => this.#waiting.set(id, resolve))
  }

  /** Nobody waits for this append any more. */
  forget(what: readonly StreamWrite[] | Decide): void {
    const id = typeof what === 'function' ? undefined : firstId(what)
    if (id !== undefined) this.#waiting.delete(id)
  }

  fence(): readonly [] {
    return []
  }

  async open(): Promise<void> {}

  stage({ events }: StagedRequest): () => void {
    this.#lastPosition = events.at(-1)?.position ?? this.#lastPosition
    const id = events[0]?.eventId
    if (id !== undefined) this.#waiting.get(id)?.(events)
    return () => undefined
  }

  statements(): readonly [] {
    return []
  }

  committed(): void {}

  dropped(): void {}
}

function firstId(writes: readonly StreamWrite[]): string | undefined {
  return writes.find(({ events }) => events.length > 0)?.events[0]?.eventId
}
