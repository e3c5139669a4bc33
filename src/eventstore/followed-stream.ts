import { LogCorruptError } from './append-errors.ts'
import type { EventRows } from './event-rows.ts'
import type { Followed } from './follow-log.ts'
import { type Passage, revisionPages } from './passages.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** One stream as a subscriber follows it: by its revisions, of which none may be left out. */
export class FollowedStream implements Followed {
  readonly stream: string
  readonly checkpointEvery = null
  readonly #rows: EventRows
  #next: bigint | 'end'

  constructor(rows: EventRows, { stream, from }: { readonly stream: string; readonly from: bigint | 'end' }) {
    this.stream = stream
    this.#rows = rows
    this.#next = from === 'end' || from > 0n ? from : 0n
  }

  async begin(): Promise<bigint> {
    if (this.#next === 'end') this.#next = ((await this.#rows.streamEnd(this.stream))?.revision ?? -1n) + 1n
    return -1n
  }

  /** The head is read before the end of the stream: all that the stream has up to there is in what follows. */
  async *read(after: bigint): AsyncGenerator<Passage, void> {
    const head = await this.#rows.head()
    const end = await this.#rows.streamEnd(this.stream)
    const next = this.#known()
    let upTo = greatest(after, head)
    if (end !== null && end.revision >= next) {
      const span = { first: next, last: end.revision }
      for await (const events of revisionPages(this.#rows, { streamId: end.streamId, span, direction: 'forwards' })) {
        const position = events.at(-1)?.position ?? after
        for (const event of events) this.#take(event)
        upTo = greatest(upTo, position)
        yield { events, upTo: position }
      }
    }
    yield { events: [], upTo }
  }

  wants(event: RecordedEvent): boolean {
    if (event.stream !== this.stream || event.revision < this.#known()) return false
    this.#take(event)
    return true
  }

  #take(event: RecordedEvent): void {
    const next = this.#known()
    if (event.revision !== next) {
      throw new LogCorruptError(
        `Cannot follow stream "${this.stream}": revision ${next} is missing before position ${event.position}`,
      )
    }
    this.#next = next + 1n
  }

  #known(): bigint {
    return this.#next === 'end' ? 0n : this.#next
  }
}

function greatest(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
