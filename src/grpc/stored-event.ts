import { isUtf8 } from 'node:buffer'
import * as v from 'valibot'
import { encodeMetadata, type Metadata } from '../events/metadata.ts'
import { isOwnStream } from '../events/own-streams.ts'
import { blobOf } from '../eventstore/blob-of.ts'
import type { BlobReader } from '../eventstore/event-store-options.ts'
import type { Blob, NewEvent, RecordedEvent } from '../eventstore/recorded-event.ts'
import type { ProposedEvent } from './append-request.ts'
import { propertyMissing } from './call-refused-error.ts'

/** Content type of JSON; data of any other is bytes that mean nothing here. */
const jsonType = 'application/json'

/** Data up to here stands in the event; more stands in the content-addressed blobs, as big texts of the daemon do. */
const maxInlineBytes = 32 << 10

/** Schema version of every event that comes from a client: the log knows nothing of their forms. */
const clientSchema = 1

/**
 * What the log keeps of a client's event beside the daemon's own metadata, as member `client` of it. Data that is JSON stands in the event
 * byte for byte; other data stands there as `{"base64": …}`, or as `{"dataSha256": …, "sizeBytes": …}` of a blob, and `data` says so.
 */
const clientSchemaInMeta = v.object({
  contentType: v.string(),
  data: v.optional(v.picklist(['base64', 'sha256'])),
  metadata: v.optional(v.string()),
  metadataBase64: v.optional(v.string()),
})

type ClientPart = v.InferOutput<typeof clientSchemaInMeta>

const metaWithClient = v.object({ client: clientSchemaInMeta })
const base64Data = v.object({ base64: v.string() })
const sha256Data = v.object({ dataSha256: v.string() })

/** An event for the log, and the blob that it names. */
export interface StoredEvent {
  readonly event: NewEvent
  readonly blobs: readonly Blob[]
}

/** Turns a proposed event into one of the log; `meta` says who appends it. Throws where its type or content type is missing. */
export function storedEvent(proposed: ProposedEvent, meta: Metadata): StoredEvent {
  const type = proposed.metadata['type']
  const contentType = proposed.metadata['content-type']
  if (type === undefined) throw propertyMissing('type')
  if (contentType === undefined) throw propertyMissing('content-type')
  const { data, form, blobs } = storedData(proposed.data, contentType)
  const client: ClientPart = { contentType, ...(form === null ? {} : { data: form }), ...storedMetadata(proposed) }
  const linked = { ...meta, ...links(client.metadata, meta), client }
  const event = { eventId: proposed.id, type, schema: clientSchema, data, meta: encodeMetadata(linked) }
  return { event, blobs }
}

interface StoredData {
  readonly data: string | Uint8Array
  readonly form: 'base64' | 'sha256' | null
  readonly blobs: readonly Blob[]
}

function storedData(data: Uint8Array, contentType: string): StoredData {
  if (data.length > maxInlineBytes) {
    const blob = blobOf(data)
    const named = JSON.stringify({ dataSha256: blob.sha256, sizeBytes: data.length })
    return { data: named, form: 'sha256', blobs: [blob] }
  }
  if (contentType === jsonType && isJson(data)) return { data, form: null, blobs: [] }
  return { data: JSON.stringify({ base64: Buffer.from(data).toString('base64') }), form: 'base64', blobs: [] }
}

function isJson(bytes: Uint8Array): boolean {
  return !bytes.includes(0) && isUtf8(bytes) && parsed(Buffer.from(bytes).toString()) !== undefined
}

function storedMetadata({ customMetadata }: ProposedEvent): Pick<ClientPart, 'metadata' | 'metadataBase64'> {
  if (customMetadata.length === 0) return {}
  const bytes = Buffer.from(customMetadata)
  // PostgreSQL's JSON functions cannot give a text with a NUL.
  const isText = isUtf8(bytes) && !bytes.includes(0)
  return isText ? { metadata: bytes.toString() } : { metadataBase64: bytes.toString('base64') }
}

const linkText = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(200)))
const clientLinks = v.object({ $correlationId: linkText, $causationId: linkText })

/** Ids of the client's own by the names that EventStoreDB gives them, so that `trace` and `why` follow them here too. */
function links(metadata: string | undefined, meta: Metadata): Pick<Metadata, 'correlationId' | 'causationId'> {
  const found = v.safeParse(clientLinks, metadata?.includes('"$c') === true ? parsed(metadata) : {})
  const { $correlationId = meta.correlationId, $causationId = meta.causationId } = found.success ? found.output : {}
  return { correlationId: $correlationId, causationId: $causationId }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** An event as clients see it: what they appended, byte for byte; for the daemon's own, its data and all of its metadata. */
export interface ShownEvent {
  readonly contentType: string
  readonly data: Uint8Array
  readonly customMetadata: Uint8Array
}

/** Turns an event of the log into what clients see. A promise only where its data stands in a blob. */
export function shownEvent(event: RecordedEvent, blobs: BlobReader): ShownEvent | Promise<ShownEvent> {
  const client = isOwnStream(event.stream) ? null : clientPartOf(event.meta)
  if (client === null) return { contentType: jsonType, data: event.data, customMetadata: event.meta }
  const { contentType } = client
  const customMetadata = shownMetadata(client)
  if (client.data === undefined || event.dataHash !== undefined) {
    return { contentType, data: event.data, customMetadata }
  }
  const data = parsed(Buffer.from(event.data).toString())
  if (client.data === 'base64') {
    return { contentType, data: Buffer.from(v.parse(base64Data, data).base64, 'base64'), customMetadata }
  }
  return blobs
    .read(v.parse(sha256Data, data).dataSha256)
    .then((bytes) => ({ contentType, data: bytes, customMetadata }))
}

function clientPartOf(meta: Uint8Array): ClientPart | null {
  const result = v.safeParse(metaWithClient, parsed(Buffer.from(meta).toString()))
  return result.success ? result.output.client : null
}

function shownMetadata({ metadata, metadataBase64 }: ClientPart): Uint8Array {
  return metadataBase64 === undefined ? Buffer.from(metadata ?? '') : Buffer.from(metadataBase64, 'base64')
}
