import { type EventRow, eventIdAt, positionAt, revisionAt } from './event-row.ts'
import { RepeatedHash } from './repeated-hash.ts'
import { sha256Bytes, sha256Into } from './sha256.ts'

/**
 * The parts of a leaf as a verifier has them, most of them as the bytes that the leaf has them in: see `eventLeaf` for its form.
 * `stream` and `type` are the names with their length in front (`type` with the schema version behind it), `commit` is commit number,
 * epoch and time.
 */
export interface LeafParts {
  readonly position: Uint8Array
  readonly stream: Uint8Array
  readonly revision: Uint8Array
  readonly type: Uint8Array
  readonly eventId: Uint8Array
  readonly commit: Uint8Array
  /** Data and meta, or the hashes that stand for them. */
  readonly data: Uint8Array | { readonly sha256: Uint8Array }
  readonly meta: Uint8Array | { readonly sha256: Uint8Array }
}

let scratch = Buffer.alloc(4_096)
// Leaves have few different lengths: a view of the beginning of the scratch is made once for each.
let views: Buffer[] = []
const metaHash = new RepeatedHash()

function makeRoom(bytes: number): void {
  scratch = Buffer.alloc(2 * bytes)
  views = []
}

function scratchTo(end: number): Buffer {
  return (views[end] ??= scratch.subarray(0, end))
}

/** Writes the leaf hash of an event into `target` at an offset. */
export function leafInto(target: Buffer, at: number, parts: LeafParts): void {
  const length = leafBytes + parts.stream.length + parts.type.length
  if (scratch.length < length) makeRoom(length)
  let end = 1
  for (const part of [parts.position, parts.stream, parts.revision, parts.type, parts.eventId, parts.commit]) {
    scratch.set(part, end)
    end += part.length
  }
  for (const part of [parts.data, parts.meta]) {
    if ('sha256' in part) scratch.set(part.sha256, end)
    else sha256Into(scratch, end, part)
    end += sha256Bytes
  }
  sha256Into(target, at, scratchTo(end))
}

/** The same of a row of table `event` as it was read, without taking it apart: the columns have the bytes of the leaf. */
export function rowLeafInto(
  { target, at }: { readonly target: Buffer; readonly at: number },
  event: EventRow,
  { stream, type, commit }: Pick<LeafParts, 'stream' | 'type' | 'commit'>,
): void {
  const { row, data, meta } = event
  const length = leafBytes + stream.length + type.length
  if (scratch.length < length) makeRoom(length)
  row.copy(scratch, 1, positionAt, positionAt + 8)
  scratch.set(stream, 9)
  let end = 9 + stream.length
  row.copy(scratch, end, revisionAt, revisionAt + 8)
  scratch.set(type, end + 8)
  end += 8 + type.length
  row.copy(scratch, end, eventIdAt, eventIdAt + 16)
  scratch.set(commit, end + 16)
  end += 36
  if (data !== null) sha256Into(scratch, end, data)
  else scratch.fill(0, end, end + sha256Bytes).set(event.dataHash?.subarray(0, sha256Bytes) ?? nothing, end)
  metaHash.into(scratch, end + sha256Bytes, meta ?? nothing)
  sha256Into(target, at, scratchTo(end + 2 * sha256Bytes))
}

const nothing = Buffer.alloc(0)

// 0x00, position, revision, event id, commit (number, epoch, time), two hashes
const leafBytes = 1 + 8 + 8 + 16 + 20 + 2 * sha256Bytes

/** A stream name as a leaf has it: its length (u32) and its UTF-8 bytes. */
export function streamPart(name: Uint8Array): Buffer {
  const part = Buffer.allocUnsafe(4 + name.length)
  part.writeUInt32BE(name.length)
  part.set(name, 4)
  return part
}

/** A type name as a leaf has it: its length (u32), its UTF-8 bytes, the schema version (u32). */
export function typePart(name: Uint8Array, schema: number): Buffer {
  const part = Buffer.allocUnsafe(8 + name.length)
  part.writeUInt32BE(name.length)
  part.set(name, 4)
  part.writeInt32BE(schema, 4 + name.length)
  return part
}

/** What a leaf has of its commit: number (u64), epoch (u32), time in microseconds (u64). */
export function commitPart(commitNo: bigint, epoch: number, atUs: bigint): Buffer {
  const part = Buffer.allocUnsafe(20)
  part.writeBigInt64BE(commitNo)
  part.writeInt32BE(epoch, 8)
  part.writeBigInt64BE(atUs, 12)
  return part
}
