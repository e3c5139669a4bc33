import { erasureType } from './erasure-check.ts'
import type { EventRing } from './event-ring.ts'
import type { Span } from './read-statements.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** The events of a commit that has been sent, as far as a reader must know of them. */
interface SentEvents {
  readonly events: readonly RecordedEvent[]
  staged(stream: string, from: bigint): readonly RecordedEvent[]
}

interface Sent {
  readonly batch: SentEvents
  /** Resolves once it is known whether it is recorded, and the ring has it then; or once that may take long. */
  readonly known: PromiseWithResolvers<void>
  /** Whether it takes data of earlier events away; found out when somebody asks. */
  erases: boolean | null
}

// Of a longer end of a stream the table makes pages.
const mostEvents = 2_048

/**
 * Answers small reads of streams out of the ring of the writer's process, with what the table would say: whatever could be seen in the
 * table when the read began is in the ring, but for the one commit that may be under way. Who reads a stream of that one waits for it.
 */
export class RecentReads {
  readonly #ring: EventRing
  readonly #isWriter: () => boolean
  #sent: Sent | null = null

  /** `isWriter`: whether nobody else can have written, as far as this process knows. */
  constructor(ring: EventRing, isWriter: () => boolean) {
    this.#ring = ring
    this.#isWriter = isWriter
  }

  /** A commit is on its way, and may be recorded at any time; the one before it is in the ring. To be told before anybody else has a turn. */
  sent(batch: SentEvents): void {
    this.#sent = { batch, known: Promise.withResolvers(), erases: null }
  }

  /** What became of a commit is known: the ring has its events, or it was not recorded. */
  settled(batch: SentEvents): void {
    if (this.#sent?.batch !== batch) return
    this.#sent.known.resolve()
    this.#sent = null
  }

  /** What becomes of the commit under way may not be known for long. */
  left(): void {
    this.#sent?.known.resolve()
  }

  /**
   * The events of a stream that are wanted of it, oldest first: `wanted` says which, by the revision of its last one. Null where the table
   * has to be read.
   */
  read(stream: string, wanted: (end: bigint) => Span): Held | Promise<Held> {
    const sent = this.#sent
    if (sent === null) return this.#held(stream, wanted)
    sent.erases ??= sent.batch.events.some(({ type }) => type === erasureType)
    if (sent.erases) return null
    if (sent.batch.staged(stream, 0n).length === 0) return this.#held(stream, wanted)
    return sent.known.promise.then(() => (this.#sent === sent ? null : this.#held(stream, wanted)))
  }

  #held(stream: string, wanted: (end: bigint) => Span): Held {
    const end = this.#isWriter() ? this.#ring.endOf(stream) : null
    if (end === null) return null
    const { first, last } = wanted(end)
    if (last < first) return []
    const tail = this.#ring.streamTail(stream, { from: first, most: mostEvents })
    return last === end || tail === null ? tail : tail.slice(0, Number(last - first) + 1)
  }
}

type Held = readonly RecordedEvent[] | null
