import type { CommitRow } from './commit-cursor.ts'
import { changedRow, eventIdBytes, type EventRow, int8Bytes } from './event-row.ts'
import { commitPart, leafInto, type LeafParts, streamPart } from './leaf-writer.ts'
import type { LogTable } from './log-tables.ts'
import { sha256Bytes } from './sha256.ts'
import { type NameTables, newType, type StreamEntry, type TypeEntry } from './verify-names.ts'

/** An event whose leaf is not the one that was recorded, with everything its leaf is made of. */
export interface WrongEvent {
  readonly event: EventRow
  readonly commit: CommitRow
  readonly names: NameTables
}

/** What was changed, found by undoing it. `fix` undoes it where later events stand on it. */
export interface Repair {
  readonly table: LogTable
  readonly key: string
  readonly column: string
  readonly what: string
  /** The event as it was. */
  readonly event: EventRow
  fix(): void
}

/** Bounds the work of looking for changes in one run: bytes that may be hashed for it, and leaves that may be tried. */
export class RepairBudget {
  #bytes: number
  #attempts: number

  constructor({ bytes, attempts }: { readonly bytes: number; readonly attempts: number }) {
    this.#bytes = bytes
    this.#attempts = attempts
  }

  spend(bytes: number): boolean {
    this.#bytes -= bytes
    this.#attempts -= 1
    return this.#bytes >= 0 && this.#attempts >= 0
  }
}

type Accept = (leaf: Buffer) => boolean

/**
 * Looks for one changed bit, in the event or in what its leaf takes from other rows (names, commit), or for another number in the place
 * of a number, that gives the recorded leaf. Nothing else tells whether it was the event or the name of its stream that was changed.
 */
export function findRepair(
  wrong: WrongEvent,
  { accept, budget }: { readonly accept: Accept; readonly budget: RepairBudget },
): Repair | null {
  const parts = partsOf(wrong.event, wrong)
  const search: Search = { ...wrong, parts, accept, budget, leaf: Buffer.alloc(sha256Bytes) }
  for (const attempt of attempts) {
    const repair = attempt(search)
    if (repair !== null) return repair
  }
  return null
}

/** What the leaf of an event is made of; names that no row has are empty, as no name ever is. */
export function partsOf(event: EventRow, { commit, names }: Omit<WrongEvent, 'event'>): LeafParts {
  return {
    position: int8Bytes(event, 'position'),
    stream: names.streams[event.streamId]?.part ?? noName,
    revision: int8Bytes(event, 'revision'),
    type: names.types[event.typeId]?.part ?? noName,
    eventId: eventIdBytes(event),
    commit: commitPart(commit.commitNo, commit.epoch, commit.atUs),
    data: event.data ?? { sha256: event.dataHash ?? noName },
    meta: event.meta ?? noName,
  }
}

const noName = Buffer.alloc(4)

interface Search extends WrongEvent {
  readonly parts: LeafParts
  readonly accept: Accept
  readonly budget: RepairBudget
  readonly leaf: Buffer
}

type Attempt = (search: Search) => Repair | null

const attempts: readonly Attempt[] = [
  revision,
  stream,
  type,
  eventId,
  commitTime,
  dataHash,
  streamName,
  typeName,
  payload('meta'),
  payload('data'),
]

function fits(search: Search, change: Partial<LeafParts>): boolean {
  const parts = { ...search.parts, ...change }
  const bytes = 200 + parts.stream.length + bytesOf(parts.data) + bytesOf(parts.meta)
  if (!search.budget.spend(bytes)) return false
  leafInto(search.leaf, 0, parts)
  return search.accept(search.leaf)
}

function bytesOf(part: LeafParts['data']): number {
  return 'sha256' in part ? 0 : part.length
}

/** The bytes with each of their bits flipped in turn: one buffer, changed in place. */
function* flips(bytes: Uint8Array): Generator<Buffer, void> {
  const flipped = Buffer.from(bytes)
  for (const [at, byte] of bytes.entries()) {
    for (let bit = 1; bit < 256; bit <<= 1) {
      flipped[at] = byte ^ bit
      yield flipped
    }
    flipped[at] = byte
  }
}

function ofEvent(search: Search, change: { readonly column: string; readonly event?: Partial<EventRow> }): Repair {
  const event = changedRow(search.event, change.event ?? {})
  const { position } = search.event
  return { table: 'event', key: String(position), column: change.column, what: `event @${position}`, event, fix() {} }
}

function revision(search: Search): Repair | null {
  const expected = search.names.streams[search.event.streamId]?.nextRevision
  const own = Buffer.alloc(8)
  own.writeBigInt64BE(BigInt(Math.max(expected ?? 0, 0)))
  if (fits(search, { revision: own })) return revisionRepair(search, own)
  for (const bytes of flips(search.parts.revision))
    if (fits(search, { revision: bytes })) return revisionRepair(search, bytes)
  return null
}

function revisionRepair(search: Search, bytes: Buffer): Repair {
  return ofEvent(search, {
    column: 'revision',
    event: { revision: Number(bytes.readBigInt64BE()), row: withRevision(search.event.row, bytes) },
  })
}

function withRevision(row: Buffer, bytes: Buffer): Buffer {
  const copy = Buffer.from(row)
  copy.set(bytes, 30)
  return copy
}

function stream(search: Search): Repair | null {
  const { streamId, revision: wanted } = search.event
  for (const entry of candidates(search.names.streams, streamId, (each) => each.nextRevision === wanted)) {
    if (fits(search, { stream: entry.part }))
      return ofEvent(search, { column: 'stream_id', event: { streamId: Number(entry.id) } })
  }
  return null
}

function type(search: Search): Repair | null {
  for (const entry of candidates(search.names.types, search.event.typeId, () => true)) {
    if (fits(search, { type: entry.part }))
      return ofEvent(search, { column: 'type_id', event: { typeId: Number(entry.id) } })
  }
  return null
}

/** Entries whose number is one bit away, then others that could be meant. */
function* candidates<Entry extends StreamEntry | TypeEntry>(
  entries: readonly (Entry | null)[],
  id: number,
  isMeant: (entry: Entry) => boolean,
): Generator<Entry, void> {
  const near = new Set<number>()
  for (let bit = 1; bit < 2 ** 53; bit *= 2) near.add(Number(BigInt(id) ^ BigInt(bit)))
  for (const each of near) {
    const entry = entries[each]
    if (entry !== null && entry !== undefined) yield entry
  }
  let others = 0
  for (const entry of entries) {
    if (entry === null || near.has(Number(entry.id)) || !isMeant(entry)) continue
    others += 1
    if (others > mostOthers) return
    yield entry
  }
}

const mostOthers = 1_000

function eventId(search: Search): Repair | null {
  for (const bytes of flips(search.parts.eventId))
    if (fits(search, { eventId: bytes })) return ofEvent(search, { column: 'event_id' })
  return null
}

function commitTime(search: Search): Repair | null {
  const { commit } = search
  for (const bytes of flips(search.parts.commit)) {
    const [commitNo, epoch, atUs] = [bytes.readBigInt64BE(0), bytes.readInt32BE(8), bytes.readBigInt64BE(12)]
    if (commitNo !== commit.commitNo || !fits(search, { commit: bytes })) continue
    const column = epoch === commit.epoch ? 'at_us' : 'epoch'
    const fix = () => {
      commit.epoch = epoch
      commit.atUs = atUs
    }
    return {
      table: 'commit',
      key: String(commit.commitNo),
      column,
      what: `commit ${commit.commitNo}`,
      event: search.event,
      fix,
    }
  }
  return null
}

function dataHash(search: Search): Repair | null {
  if (!('sha256' in search.parts.data)) return null
  for (const bytes of flips(search.parts.data.sha256)) {
    if (fits(search, { data: { sha256: bytes } }))
      return ofEvent(search, { column: 'data_hash', event: { dataHash: Buffer.from(bytes) } })
  }
  return null
}

function streamName(search: Search): Repair | null {
  const entry = search.names.streams[search.event.streamId]
  if (entry === null || entry === undefined) return null
  for (const name of flips(entry.name)) {
    if (!fits(search, { stream: streamPart(name) })) continue
    const was = Buffer.from(name)
    const fix = () => {
      entry.name = was
      entry.part = streamPart(was)
    }
    const what = `stream ${entry.id}, which was named ${JSON.stringify(was.toString())},`
    return { table: 'stream', key: String(entry.id), column: 'name', what, event: search.event, fix }
  }
  return null
}

function typeName(search: Search): Repair | null {
  const entry = search.names.types[search.event.typeId]
  if (entry === null || entry === undefined) return null
  for (const part of flips(entry.part)) {
    const name = Buffer.from(part.subarray(4, -4))
    const schema = part.readInt32BE(part.length - 4)
    if (part.readUInt32BE() !== name.length || !fits(search, { type: part })) continue
    const column = schema === entry.schema ? 'name' : 'schema_version'
    const was = newType(entry.id, { name, schema })
    const fix = () => void Object.assign(entry, was)
    const what = `event type ${entry.id}, which was ${JSON.stringify(name.toString())} ${schema},`
    return { table: 'event_type', key: String(entry.id), column, what, event: search.event, fix }
  }
  return null
}

function payload(column: 'data' | 'meta'): Attempt {
  return (search) => {
    const bytes = search.event[column]
    if (bytes === null) return null
    for (const flipped of flips(bytes)) {
      if (fits(search, { [column]: flipped }))
        return ofEvent(search, { column, event: { [column]: Buffer.from(flipped) } })
    }
    return null
  }
}
