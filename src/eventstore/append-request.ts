import { hash } from 'node:crypto'
import { isUtf8 } from 'node:buffer'
import { InvalidAppendError } from './append-errors.ts'
import type { EventStoreLimits } from './event-store-options.ts'
import type { Blob, ExpectedRevision, NewEvent, StreamWrite } from './recorded-event.ts'

/** An event whose texts are bytes and known to be acceptable. */
export interface CheckedEvent {
  readonly eventId: string
  readonly type: string
  readonly schema: number
  readonly data: Uint8Array
  readonly meta: Uint8Array
}

/** A write whose parts are known to be acceptable. */
export interface CheckedWrite {
  readonly stream: string
  readonly expectedRevision: ExpectedRevision
  readonly events: readonly CheckedEvent[]
  readonly blobs: readonly Blob[]
}

/** An append that is acceptable as far as its own content goes. `bytes` counts data and meta. */
export interface CheckedAppend {
  readonly writes: readonly CheckedWrite[]
  readonly eventCount: number
  readonly bytes: number
  readonly blobBytes: number
  /** The caller's name for it, where it may be repeated by that. */
  readonly requestId: string | null
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const maxNameBytes = 512

/** Checks form and size of an append. Throws {@link InvalidAppendError}. */
export function checkAppend(
  writes: readonly StreamWrite[],
  limits: EventStoreLimits,
  requestId: string | null = null,
): CheckedAppend {
  const checked: CheckedWrite[] = []
  let [eventCount, bytes, blobBytes] = [0, 0, 0]
  for (const write of writes) {
    const checkedWrite = checkWrite(write, limits)
    checked.push(checkedWrite)
    eventCount += checkedWrite.events.length
    for (const { data, meta } of checkedWrite.events) bytes += data.length + meta.length
    for (const blob of checkedWrite.blobs) blobBytes += blob.bytes.length
  }
  if (eventCount > limits.batchEvents) refuse(`it has ${eventCount} events, the most is ${limits.batchEvents}`)
  if (bytes > limits.batchBytes) refuse(`its events have ${bytes} bytes, the most is ${limits.batchBytes}`)
  if (blobBytes > limits.blobBytes) refuse(`its big texts have ${blobBytes} bytes, the most is ${limits.blobBytes}`)
  if (eventCount > 1) checkDistinct(checked, eventCount)
  return { writes: checked, eventCount, bytes, blobBytes, requestId }
}

function checkDistinct(writes: readonly CheckedWrite[], eventCount: number): void {
  const ids = new Set<string>()
  for (const { events } of writes) for (const { eventId } of events) ids.add(eventId)
  if (ids.size !== eventCount) refuse('two of its events have the same id')
}

function checkWrite(write: StreamWrite, limits: EventStoreLimits): CheckedWrite {
  const { stream, expectedRevision, blobs = noBlobs } = write
  checkName('stream', stream)
  if (typeof expectedRevision === 'bigint' && (expectedRevision < 0n || expectedRevision >= 1n << 62n)) {
    refuse(`the expected revision of stream "${stream}" is ${expectedRevision}, it must be 0 to 2^62`)
  }
  for (const blob of blobs) checkBlob(blob)
  return { stream, expectedRevision, events: write.events.map((event) => checkEvent(event, limits)), blobs }
}

const noBlobs: readonly Blob[] = []

function checkEvent(event: NewEvent, limits: EventStoreLimits): CheckedEvent {
  const { type, schema } = event
  checkName('event type', type)
  if (!Number.isInteger(schema) || schema < 1 || schema > 0x7fff_ffff) {
    refuse(`${type} has schema version ${schema}, it must be a whole number from 1`)
  }
  const eventId = event.eventId.toLowerCase()
  if (!uuid.test(eventId)) refuse(`${type} has the id "${event.eventId}", it must be a UUID`)
  const data = bytesOf('data', event)
  const meta = bytesOf('meta', event)
  const longest = Math.max(data.length, meta.length)
  if (longest > limits.eventBytes) {
    refuse(`${type} has ${longest} bytes, the most is ${limits.eventBytes}; big texts belong into blobs`)
  }
  return { eventId, type, schema, data, meta }
}

function bytesOf(part: 'data' | 'meta', event: NewEvent): Uint8Array {
  const value = event[part]
  const hasNul = typeof value === 'string' ? value.includes('\0') : value.includes(0)
  if (hasNul) refuse(`the ${part} of ${event.type} has a NUL, which JSON text cannot have`)
  if (typeof value === 'string') {
    if (!value.isWellFormed()) refuse(`the ${part} of ${event.type} has half a surrogate pair, which UTF-8 cannot hold`)
    return Buffer.from(value)
  }
  if (!isUtf8(value)) refuse(`the ${part} of ${event.type} is not UTF-8`)
  return Buffer.from(value) // whoever appends may use the bytes again before they are hashed and sent
}

function checkName(what: string, name: string): void {
  const bytes = Buffer.byteLength(name)
  if (bytes === 0 || bytes > maxNameBytes)
    refuse(`the ${what} name has ${bytes} bytes, it must have 1 to ${maxNameBytes}`)
  if (name.includes('\0') || !name.isWellFormed()) {
    refuse(`the ${what} name ${JSON.stringify(name)} has a NUL or half a surrogate pair`)
  }
}

function checkBlob(blob: Blob): void {
  const sha256 = hash('sha256', blob.bytes)
  if (sha256 !== blob.sha256) refuse(`the big text named "${blob.sha256}" has the SHA-256 ${sha256}`)
}

function refuse(why: string): never {
  throw new InvalidAppendError(`Cannot append: ${why}`)
}
