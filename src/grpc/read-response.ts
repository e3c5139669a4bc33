import type { BlobReader } from '../eventstore/event-store-options.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { messageEncoder, wire64 } from './message-codec.ts'
import { type ShownEvent, shownEvent } from './stored-event.ts'
import { wirePosition, wireStream, wireUuid } from './wire-values.ts'

const encode = messageEncoder('event_store.client.streams.ReadResp')

/** Answers of the call `Read` other than events. */
export const readResponse = {
  confirmation: (subscriptionId: string) => encode({ confirmation: { subscriptionId } }),
  streamNotFound: (stream: string) => encode({ streamNotFound: { streamIdentifier: wireStream(stream) } }),
  lastStreamPosition: (revision: bigint) => encode({ lastStreamPosition: wire64(revision) }),
  lastAllStreamPosition: (position: bigint) => encode({ lastAllStreamPosition: wirePosition(position) }),
  checkpoint: (position: bigint) => encode({ checkpoint: wirePosition(position) }),
  caughtUp: () => encode({ caughtUp: {} }),
  fellBehind: () => encode({ fellBehind: {} }),
} as const

/** An event as an answer. A promise only where its data stands in a blob. */
export function eventResponse(
  event: RecordedEvent,
  { blobs, uuidForm }: { readonly blobs: BlobReader; readonly uuidForm: 'text' | 'structured' },
): Buffer | Promise<Buffer> {
  const shown = shownEvent(event, blobs)
  return shown instanceof Promise
    ? shown.then((read) => encodeEvent(event, read, uuidForm))
    : encodeEvent(event, shown, uuidForm)
}

function encodeEvent(event: RecordedEvent, shown: ShownEvent, uuidForm: 'text' | 'structured'): Buffer {
  const position = wire64(event.position)
  const recorded = {
    id: wireUuid(event.eventId, uuidForm),
    streamIdentifier: wireStream(event.stream),
    streamRevision: wire64(event.revision),
    preparePosition: position,
    commitPosition: position,
    // "created" counts 100 ns since 1970.
    metadata: { type: event.type, 'content-type': shown.contentType, created: `${event.recordedAtUs}0` },
    customMetadata: shown.customMetadata,
    data: shown.data,
  }
  return encode({ event: { event: recorded, commitPosition: position } })
}
