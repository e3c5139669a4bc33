import { status } from '@grpc/grpc-js'
import { isFactType } from '../events/catalogue.ts'
import type { Metadata } from '../events/metadata.ts'
import { isOwnStream } from '../events/own-streams.ts'
import { categoryOf } from '../events/stream-names.ts'
import { uuidV7 } from '../util/uuid-v7.ts'
import type { AppendTarget, ProposedEvent } from './append-request.ts'
import type { CallContext } from './call-services.ts'
import { accessDenied, appendTooBig, CallRefusedError } from './call-refused-error.ts'
import { storedEvent } from './stored-event.ts'

/** What an append has done: the last revision of its stream, and the position of its last event. Null where there is none. */
export interface Appended {
  readonly currentRevision: bigint | null
  readonly position: bigint | null
}

/** The events of one append, taken up to what an append may have. */
export class AppendCollector {
  readonly events: ProposedEvent[] = []
  readonly #maxEvents: number
  readonly #maxBytes: number
  #bytes = 0

  constructor({ appendEvents, appendBytes }: { readonly appendEvents: number; readonly appendBytes: number }) {
    this.#maxEvents = appendEvents
    this.#maxBytes = appendBytes
  }

  /** Takes an event; throws where the append gets too big with it. */
  add(event: ProposedEvent): void {
    this.#bytes += event.data.length + event.customMetadata.length
    if (this.#bytes > this.#maxBytes) {
      throw appendTooBig(`Cannot append: the events have more than ${this.#maxBytes} bytes`, this.#maxBytes)
    }
    if (this.events.length >= this.#maxEvents) {
      throw appendTooBig(`Cannot append: there are more than ${this.#maxEvents} events`, this.#maxBytes)
    }
    this.events.push(event)
  }
}

/**
 * Appends what a client that may proposes (see {@link checkMayAppend}), recorded with who it is. Throws what the store throws.
 * Everything up to the store's queue happens in the same turn, so that appends keep the order in which they came.
 */
export async function appendEvents(
  target: AppendTarget,
  events: readonly ProposedEvent[],
  { context, signal }: { readonly context: CallContext; readonly signal: AbortSignal },
): Promise<Appended> {
  checkTypes(target.stream, events)
  const meta = metadataOf(context)
  const stored = events.map((event) => storedEvent(event, meta))
  const blobs = stored.flatMap((each) => each.blobs)
  const write = { ...target, events: stored.map((each) => each.event), blobs }
  const { store } = context.services
  if (events.length > 0) {
    const requestId = requestIdOf(target, { firstId: write.events[0]?.eventId, nowMs: nowMsOf(context) })
    const appended = await store.append([write], { signal, ...(requestId === null ? {} : { requestId }) })
    const last = appended.events.at(-1)
    return { currentRevision: last?.revision ?? null, position: last?.position ?? null }
  }
  let currentRevision: bigint | null = null
  await store.append(
    (turn) => {
      currentRevision = turn.revision(target.stream)
      return [write]
    },
    { signal },
  )
  return { currentRevision, position: null }
}

const uuidV7Form = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
/** How old, and how far ahead, an id may be to name its append: well within the store's own window. */
const idAgeMs = 3_600_000
const idAheadMs = 60_000

/**
 * An exact revision tells a repeated append from another one. Without it the id of the first event does, where it is a UUID of version 7
 * made lately; null where there is no such name.
 */
function requestIdOf(
  { expectedRevision }: AppendTarget,
  { firstId, nowMs }: { readonly firstId: string | undefined; readonly nowMs: number },
): string | null {
  const id = firstId?.toLowerCase() ?? ''
  if ((expectedRevision !== 'any' && expectedRevision !== 'stream_exists') || !uuidV7Form.test(id)) return null
  const ageMs = nowMs - Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
  return ageMs < idAgeMs && ageMs > -idAheadMs ? id : null
}

function nowMsOf({ services }: CallContext): number {
  return Number(services.clock.nowUs() / 1000n)
}

/** Throws PERMISSION_DENIED where this client may not append to a stream. */
export function checkMayAppend(stream: string, { peer }: CallContext): void {
  if (peer.role !== 'writer') {
    throw accessDenied(`${refusing(stream)}: ${peer.actor.program} is a reader, it must be a writer`)
  }
  if (isOwnStream(stream)) {
    throw accessDenied(`${refusing(stream)}: streams of category "${categoryOf(stream)}" are the daemon's own`)
  }
  if (stream.startsWith('$$')) {
    const why = 'metadata of streams is not served, this log keeps every event'
    throw new CallRefusedError(status.UNIMPLEMENTED, `${refusing(stream)}: ${why}`)
  }
  if (stream.startsWith('$')) throw accessDenied(`${refusing(stream)}: this log has no system streams`)
}

function checkTypes(stream: string, events: readonly ProposedEvent[]): void {
  const own = events.find(({ metadata }) => isFactType(metadata['type'] ?? ''))
  if (own === undefined) return
  throw accessDenied(`${refusing(stream)}: events of type "${own.metadata['type']}" are the daemon's own`)
}

function refusing(stream: string): string {
  return `Cannot append to stream "${stream}"`
}

function metadataOf({ peer, services }: CallContext): Metadata {
  const commandId = uuidV7()
  return {
    hostId: services.hostId,
    occurredAtUs: services.clock.nowUs(),
    actor: peer.actor,
    procedure: 'GRPC_APPEND',
    commandId,
    correlationId: commandId,
    causationId: null,
    capsId: null,
    reason: null,
  }
}
