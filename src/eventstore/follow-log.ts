import { setTimeout as sleep } from 'node:timers/promises'
import type { EventRing, RingWait } from './event-ring.ts'
import type { Passage } from './passages.ts'
import type { RecordedEvent } from './recorded-event.ts'
import type { RetryPatience } from './retry-patience.ts'
import type { Delivery } from './subscription.ts'

/** What is followed: the whole log, what passes a filter, one stream. */
export interface Followed {
  /** The position before the first one of interest. */
  begin(): Promise<bigint>
  /** Reads the table after a position, to the end that the log has meanwhile. Each passage says how far it has looked. */
  read(after: bigint): AsyncIterable<Passage>
  /** Whether to tell of an event that comes live; called once for each, in order. */
  wants(event: RecordedEvent): boolean
  /** Where only one stream is of interest, so that the others wake nobody. */
  readonly stream: string | null
  /** A checkpoint after so many positions; null for none. */
  readonly checkpointEvery: number | null
}

/** What following needs around it. */
export interface FollowParts {
  readonly ring: EventRing
  readonly ending: Ending
  readonly patience: RetryPatience
}

/** The end of a subscription: whatever it waits for is given up. */
export class Ending {
  readonly #stop = new AbortController()
  #wait: RingWait | null = null
  /** The last position that the subscription has looked at. */
  cursor = -1n

  get isOver(): boolean {
    return this.#stop.signal.aborted
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  end(): void {
    this.#stop.abort()
    this.#wait?.cancel()
  }

  /** Waits for the ring; null where it ended instead. A listener of the signal for each wait would cost more than the wait. */
  async guard(wait: RingWait): Promise<bigint | null> {
    this.#wait = wait
    if (this.isOver) wait.cancel()
    const position = await wait.woken
    this.#wait = null
    return position
  }

  /** Events between the subscription and the end of the log; none where it waits for more. */
  lagEvents(head: bigint): bigint {
    return this.#wait !== null || this.cursor >= head ? 0n : head - this.cursor
  }
}

// One round of the microtask queue for so many events, and no more of them held by who is slow.
const liveEvents = 256
const idleMs = 5

/**
 * One cursor: from the table until nothing is missing between it and the ring, then from the ring; back to the table where the ring has
 * moved on. So no event can be jumped over, and none is told twice.
 */
export async function* followLog(followed: Followed, parts: FollowParts): AsyncGenerator<readonly Delivery[], void> {
  const { ring, ending } = parts
  const follower = new Follower(followed, parts)
  await follower.begin()
  while (!ending.isOver) {
    yield* follower.readTable()
    if (ending.isOver) return
    yield [{ kind: 'caught-up', position: follower.caughtUpTo }]
    while (ring.reaches(follower.cursor) && !ending.isOver) {
      const deliveries = follower.takeLive()
      if (deliveries === null) await follower.waitForMore()
      else if (deliveries.length > 0) yield deliveries
    }
    if (!ending.isOver) yield [{ kind: 'fell-behind', position: follower.cursor }]
  }
}

class Follower {
  readonly #followed: Followed
  readonly #parts: FollowParts
  #checkpoint = -1n

  constructor(followed: Followed, parts: FollowParts) {
    this.#followed = followed
    this.#parts = parts
  }

  /** The last position looked at. */
  get cursor(): bigint {
    return this.#parts.ending.cursor
  }

  set cursor(position: bigint) {
    this.#parts.ending.cursor = position
  }

  /** Less than the cursor where that is beyond the end of the log. */
  get caughtUpTo(): bigint {
    const last = (this.#parts.ring.next ?? 0n) - 1n
    return this.cursor < last ? this.cursor : last
  }

  async begin(): Promise<void> {
    while (!this.#parts.ending.isOver) {
      try {
        this.cursor = await this.#followed.begin()
        this.#checkpoint = this.cursor
        return
      } catch (error) {
        await this.#parts.patience.wait(error, this.#parts.ending.signal)
      }
    }
  }

  /** Reads until the ring reaches the cursor: where it does already, not at all. */
  async *readTable(): AsyncGenerator<readonly Delivery[], void> {
    const { ring, ending, patience } = this.#parts
    while (!ring.reaches(this.cursor) && !ending.isOver) {
      const before = this.cursor
      try {
        for await (const { events, upTo } of this.#followed.read(this.cursor)) {
          if (ending.isOver) return
          const deliveries = this.#deliveries(events, upTo)
          this.cursor = upTo
          patience.reset()
          if (deliveries.length > 0) yield deliveries
        }
      } catch (error) {
        await patience.wait(error, ending.signal)
      }
      // The ring is not fed yet: what there is was read.
      if (this.cursor === before) await sleep(idleMs, undefined, { signal: ending.signal }).catch(() => undefined)
    }
  }

  /** What the ring has after the cursor; null where that is nothing. */
  takeLive(): readonly Delivery[] | null {
    const events = this.#parts.ring.after(this.cursor, liveEvents)
    const last = events.at(-1)
    if (last === undefined) return null
    const deliveries = this.#deliveries(
      events.filter((event) => this.#followed.wants(event)),
      last.position,
    )
    this.cursor = last.position
    return deliveries
  }

  async waitForMore(): Promise<void> {
    const { ring, ending } = this.#parts
    const position = await ending.guard(ring.wait(this.#followed.stream))
    // Nothing of interest was committed before the event that woke it.
    if (position !== null && position - 1n > this.cursor) this.cursor = position - 1n
  }

  #deliveries(events: readonly RecordedEvent[], upTo: bigint): readonly Delivery[] {
    const deliveries: Delivery[] = []
    const { checkpointEvery } = this.#followed
    if (checkpointEvery === null) {
      for (const event of events) deliveries.push({ kind: 'event', event })
      return deliveries
    }
    const every = BigInt(checkpointEvery)
    for (const event of events) {
      deliveries.push({ kind: 'event', event })
      if (event.position - this.#checkpoint >= every) deliveries.push(this.#checkpointAt(event.position))
    }
    if (upTo - this.#checkpoint >= every) deliveries.push(this.#checkpointAt(upTo))
    return deliveries
  }

  #checkpointAt(position: bigint): Delivery {
    this.#checkpoint = position
    return { kind: 'checkpoint', position }
  }
}
