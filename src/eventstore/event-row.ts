/** A row of table `event` as it was read, its numbers and bytes unproven. Numbers over 2^53 are not exact, and never right. */
export interface EventRow {
  readonly row: Buffer
  readonly position: number
  readonly streamId: number
  readonly revision: number
  readonly typeId: number
  readonly commitNo: number
  readonly data: Buffer | null
  readonly meta: Buffer | null
  readonly dataHash: Buffer | null
}

/** Where the position, the revision and the event's id begin in a row. */
export const [positionAt, revisionAt, eventIdAt] = [6, 30, 62]

// Offsets in a row whose first six fields are not null: count of fields, then length and bytes of each
const at = { position: 6, streamId: 18, revision: 30, typeId: 42, commitNo: 50, eventId: 62, data: 78 } as const
const two32 = 4_294_967_296

/** Takes a row in binary COPY form apart. Throws where it is not one of table `event`. */
export function eventRow(row: Buffer): EventRow {
  const fits =
    row.readInt16BE(0) === 9 &&
    row.readInt32BE(at.position - 4) === 8 &&
    row.readInt32BE(at.streamId - 4) === 8 &&
    row.readInt32BE(at.revision - 4) === 8 &&
    row.readInt32BE(at.typeId - 4) === 4 &&
    row.readInt32BE(at.commitNo - 4) === 8 &&
    row.readInt32BE(at.eventId - 4) === 16
  if (!fits) throw new RangeError('a row of table event is not in the form that its columns have')
  const dataBytes = row.readInt32BE(at.data)
  const metaAt = at.data + 4 + Math.max(dataBytes, 0)
  const metaBytes = row.readInt32BE(metaAt)
  const hashAt = metaAt + 4 + Math.max(metaBytes, 0)
  const hashBytes = row.readInt32BE(hashAt)
  return {
    row,
    position: int8At(row, at.position),
    streamId: int8At(row, at.streamId),
    revision: int8At(row, at.revision),
    typeId: row.readInt32BE(at.typeId),
    commitNo: int8At(row, at.commitNo),
    data: dataBytes === -1 ? null : row.subarray(at.data + 4, metaAt),
    meta: metaBytes === -1 ? null : row.subarray(metaAt + 4, hashAt),
    dataHash: hashBytes === -1 ? null : row.subarray(hashAt + 4, hashAt + 4 + hashBytes),
  }
}

/** The 8 bytes of an int8 column of a row, as a leaf has them. */
export function int8Bytes({ row }: EventRow, column: 'position' | 'revision'): Buffer {
  return row.subarray(at[column], at[column] + 8)
}

/** The 16 bytes of the event's id. */
export function eventIdBytes({ row }: EventRow): Buffer {
  return row.subarray(at.eventId, at.eventId + 16)
}

function int8At(row: Buffer, offset: number): number {
  return row.readInt32BE(offset) * two32 + row.readUInt32BE(offset + 4)
}
