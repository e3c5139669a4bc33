import { decodeFact } from '../events/catalogue.ts'
import { projectionStream } from '../events/stream-names.ts'
import type { LogReader } from '../eventstore/log-reader.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import type { Projection } from './projection.ts'
import { ReadModelRefusal } from './read-model-refusal.ts'
import type { Moment } from './row-history.ts'

/** A recorded wish that a projection follow a quarantined stream again: from the event that it could not take, or without that one. */
export interface Resumption {
  readonly kind: 'retry' | 'skip'
  readonly projection: string
  /** Version of the projection that had refused the event. */
  readonly version: number
  readonly stream: string
  /** Position of the event that could not be taken. */
  readonly position: bigint
  readonly error: string
  /** When the wish was recorded: what the events change counts from here on, so that answers given for earlier moments stay true. */
  readonly at: Moment
}

const kinds: ReadonlyMap<string, Resumption['kind']> = new Map([
  ['ProjectionStreamRetried', 'retry'],
  ['ProjectionEventSkipped', 'skip'],
])

/** The types of events by which streams are followed again: every projection hears them. */
export const resumptionTypes: ReadonlySet<string> = new Set(kinds.keys())

/** Reads such an event; null for any other. */
export function resumptionOf(event: RecordedEvent): Resumption | null {
  const kind = kinds.get(event.type)
  if (kind === undefined) return null
  const fact = decodeFact(event.type, event)
  if (fact.type !== 'ProjectionStreamRetried' && fact.type !== 'ProjectionEventSkipped') return null
  return { kind, ...fact.data, at: { position: event.position, timeUs: event.recordedAtUs } }
}

/** What operators have had the present version of a projection try again or leave out, in order. */
export async function readResumptions(reader: LogReader, projection: Projection): Promise<readonly Resumption[]> {
  const found: Resumption[] = []
  for await (const event of reader.readStream(projectionStream(projection.name))) {
    const resumption = resumptionOf(event)
    if (resumption?.version === projection.version) found.push(resumption)
  }
  return found
}

// Taking them in holds up the writer, and they are all in memory meanwhile.
const maxEvents = 50_000

/**
 * The events of a quarantined stream that a projection has to make up for, from the one that it could not take to before `end`. Throws
 * where there are so many that the projection is better rebuilt.
 */
export async function readMissedEvents(
  reader: LogReader,
  missed: { readonly projection: string; readonly stream: string; readonly from: bigint; readonly end: bigint },
): Promise<readonly RecordedEvent[]> {
  const events: RecordedEvent[] = []
  // Backwards, since the revision of the refused event is not written down.
  for await (const event of reader.readStream(missed.stream, { direction: 'backwards' })) {
    if (event.position < missed.from) break
    if (event.position >= missed.end) continue
    events.push(event)
    if (events.length > maxEvents) {
      throw new ReadModelRefusal(
        `Cannot have projection "${missed.projection}" follow stream "${missed.stream}" again: it has missed more than ${maxEvents} events, rebuild the projection instead`,
      )
    }
  }
  return events.reverse()
}
