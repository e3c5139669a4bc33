import { basename } from 'node:path'
import { type AnyFact, decodeFact } from '../events/catalogue.ts'
import { decodeMetadata, type Metadata } from '../events/metadata.ts'
import { UnreadableFactError } from '../events/read-fact.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { describeFact } from './describe-fact.ts'
import { utcTime } from './format-time.ts'

/** A recorded event with its data and metadata read; the fact is null where this program does not know its type or schema. */
export interface ToldEvent {
  readonly recorded: RecordedEvent
  readonly fact: AnyFact | null
  readonly meta: Metadata
}

/** Reads an event for showing, whoever wrote it. */
export function tellEvent(recorded: RecordedEvent): ToldEvent {
  return { recorded, fact: factOf(recorded), meta: metadataOf(recorded) }
}

/** One line of what it says. */
export function whatOf({ fact, recorded }: ToldEvent): string {
  if (recorded.dataHash !== undefined) return 'its data was erased'
  return fact === null ? Buffer.from(recorded.data).toString('utf8') : describeFact(fact)
}

/** Who did it: program and pid, with the user where it is not root. */
export function whoOf({ meta }: Pick<ToldEvent, 'meta'>): string {
  const { program, pid, uid } = meta.actor
  return `${basename(program)}[${pid}]${uid === 0 ? '' : ` uid ${uid}`}`
}

/** Everything that is recorded of an event, as a document for programs; its data stands in it as it was stored. */
export function eventDocument({ recorded, meta }: ToldEvent): object {
  const { position, stream, revision, type, schema, eventId, commitNo, epoch, recordedAtUs } = recorded
  const { occurredAtUs, ...beside } = meta
  const text = Buffer.from(recorded.data).toString('utf8')
  return {
    position,
    recordedAt: utcTime(recordedAtUs),
    occurredAt: utcTime(occurredAtUs),
    stream,
    revision,
    type,
    schema,
    eventId,
    commitNo,
    epoch,
    ...beside,
    ...(recorded.dataHash === undefined
      ? { data: jsonOf(text) }
      : { data: null, erasedDataSha256: Buffer.from(recorded.dataHash).toString('hex') }),
  }
}

/** What the data says; as text where it is no JSON, which others than the daemon may append. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const nobody = { uid: -1, gid: -1, pid: 0, program: 'unknown', address: 'unknown', authentication: 'unknown' } as const

/** The metadata; where it is not the daemon's, what stands for "not known". */
function metadataOf({ meta, recordedAtUs }: RecordedEvent): Metadata {
  try {
    return decodeMetadata(meta)
  } catch {
    const ids = { commandId: '', correlationId: '', causationId: null, capsId: null }
    return { hostId: '', occurredAtUs: recordedAtUs, actor: nobody, procedure: 'unknown', ...ids, reason: null }
  }
}

function factOf(recorded: RecordedEvent): AnyFact | null {
  try {
    return decodeFact(recorded.type, recorded)
  } catch (error) {
    if (error instanceof UnreadableFactError) return null
    throw error
  }
}
