import { backupKind, columnList } from './backup-kinds.ts'
import { copyField, copyInt8, type CopyRow } from './backup-row.ts'
import { sha256, sha256Bytes } from './sha256.ts'

const events = backupKind('events')
const stored = events.columns.length
// What follows the columns of table event in a row of copiedEvents
const extra = {
  stream: stored,
  type: stored + 1,
  schema: stored + 2,
  epoch: stored + 3,
  atUs: stored + 4,
  lastPos: stored + 5,
  root: stored + 6,
}

/** Fields of a row of {@link copiedEvents}. */
export const copiedEventFields = stored + 7

/** A SELECT of the events of some positions with all that their leaves are made of, in order. */
export function copiedEvents(first: bigint, last: bigint): string {
  return `select ${columnList(events, 'e.')}, s.name, t.name, t.schema_version, c.epoch, c.at_us, c.last_pos, c.root
    from event e join stream s using (stream_id) join event_type t using (type_id) join commit c using (commit_no)
    where e.pos between ${first} and ${last} order by e.pos`
}

/** The part of a row that is a row of table event, in binary COPY form. */
export function storedPart({ bytes, ends }: CopyRow): Buffer {
  const part = Buffer.from(bytes.subarray(0, ends[stored - 1]))
  part.writeInt16BE(stored)
  return part
}

/** The leaf hash of the event in a row: `eventLeaf` of the same event. The numbers have the same form in both. */
export function copiedLeaf(row: CopyRow): Buffer {
  const [data, meta, dataHash] = [copyField(row, 6), copyField(row, 7), copyField(row, 8)]
  const hashed = data === null ? dataHash : sha256(data)
  if (hashed?.length !== sha256Bytes || meta === null)
    throw new Error(`Cannot hash event ${copyInt8(row, 0)}: it has no data`)
  return sha256(
    Buffer.concat([
      leafPrefix,
      fieldOf(row, 0),
      withLength(row, extra.stream),
      fieldOf(row, 2),
      withLength(row, extra.type),
      fieldOf(row, extra.schema),
      fieldOf(row, 5),
      fieldOf(row, 4),
      fieldOf(row, extra.epoch),
      fieldOf(row, extra.atUs),
      hashed,
      sha256(meta),
    ]),
  )
}

/** The root that the log recorded after the event in a row; null where its commit goes on. */
export function recordedRoot(row: CopyRow): Buffer | null {
  return copyInt8(row, 0) === copyInt8(row, extra.lastPos) ? fieldOf(row, extra.root) : null
}

const leafPrefix = Buffer.of(0)

function fieldOf(row: CopyRow, index: number): Buffer {
  const field = copyField(row, index)
  if (field === null) throw new Error(`Cannot hash event ${copyInt8(row, 0)}: field ${index} of its row is null`)
  return field
}

/** A text with its length before it, as uint32. */
function withLength(row: CopyRow, index: number): Buffer {
  const field = fieldOf(row, index)
  return row.bytes.subarray((row.ends[index] ?? 0) - field.length - 4, row.ends[index])
}
