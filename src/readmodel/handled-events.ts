import type { LogReader } from '../eventstore/log-reader.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import type { Projection } from './projection.ts'
import { resumptionTypes } from './resumption.ts'

/** Some of the events that projections handle, in order, none of which they handle being left out up to position `through`. */
export interface EventBatch {
  readonly events: readonly RecordedEvent[]
  readonly through: bigint
}

/** What is to be read: the events from position `from` to `to` that some projections handle. */
export interface HandledEvents {
  readonly projections: Iterable<Projection>
  readonly from: bigint
  readonly to: bigint
  readonly batchEvents: number
  readonly signal?: AbortSignal
}

/**
 * Reads what projections handle, batch by batch; the last one reaches to the end. An event by which a stream is followed again comes
 * alone: it changes what the events before it left.
 */
export async function* readHandledEvents(
  reader: LogReader,
  { projections, from, to, batchEvents, signal }: HandledEvents,
): AsyncGenerator<EventBatch, void> {
  if (from > to) return
  const types = new Set([...resumptionTypes, ...[...projections].flatMap(({ handles }) => [...handles])])
  const pattern = new RegExp(`^(?:${[...types].map((type) => RegExp.escape(type)).join('|')})$`)
  let events: RecordedEvent[] = []
  let through = from - 1n
  const reading = { from, filter: { types: { pattern } }, ...(signal === undefined ? {} : { signal }) }
  for await (const event of reader.readAll(reading)) {
    if (event.position > to) break
    const alone = resumptionTypes.has(event.type)
    if (alone && events.length > 0) {
      yield { events, through: event.position - 1n }
      events = []
    }
    events.push(event)
    through = event.position
    if (!alone && events.length < batchEvents) continue
    yield { events, through }
    events = []
  }
  if (events.length > 0 || through < to) yield { events, through: to }
}
