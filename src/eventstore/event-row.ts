/** A row of table `event` as it was read, its numbers and bytes unproven. Numbers over 2^53 are not exact, and never right. */
export interface EventRow {
  readonly row: Buffer
  readonly position: number
  readonly streamId: number
  readonly revision: number
  readonly typeId: number
  readonly commitNo: number
  readonly isErased: boolean
  readonly hasMeta: boolean
  readonly hasDataHash: boolean
  readonly data: Buffer | null
  readonly meta: Buffer | null
  readonly dataHash: Buffer | null
}

/** Where the position, the revision and the event's id begin in a row. */
export const [positionAt, revisionAt, eventIdAt] = [6, 30, 62]

// Offsets in a row whose first six fields are not null: count of fields, then length and bytes of each
const [streamIdAt, typeIdAt, commitNoAt, dataAt] = [18, 42, 50, 78]
const two32 = 4_294_967_296

/** Takes a row in binary COPY form apart. Throws where it is not one of table `event`. */
export function eventRow(row: Buffer): EventRow {
  return new StoredEvent(row)
}

/** The event with other values in some columns; `row` stays as it was unless it is given. */
export function changedRow(event: EventRow, change: Partial<EventRow>): EventRow {
  const { row, position, streamId, revision, typeId, commitNo, data, meta, dataHash } = event
  const { isErased, hasMeta, hasDataHash } = event
  const columns = { row, position, streamId, revision, typeId, commitNo, data, meta, dataHash }
  return { ...columns, isErased, hasMeta, hasDataHash, ...change }
}

/** The 8 bytes of an int8 column of a row, as a leaf has them. */
export function int8Bytes({ row }: EventRow, column: 'position' | 'revision'): Buffer {
  const at = column === 'position' ? positionAt : revisionAt
  return row.subarray(at, at + 8)
}

/** The 16 bytes of the event's id. */
export function eventIdBytes({ row }: EventRow): Buffer {
  return row.subarray(eventIdAt, eventIdAt + 16)
}

/** Views of the longer columns are made when they are asked for: thousands of events wait for the end of their commit. */
class StoredEvent implements EventRow {
  readonly row: Buffer
  readonly position: number
  readonly streamId: number
  readonly revision: number
  readonly typeId: number
  readonly commitNo: number
  readonly #metaAt: number
  readonly #hashAt: number

  constructor(row: Buffer) {
    const fits =
      row.readInt16BE(0) === 9 &&
      row.readInt32BE(positionAt - 4) === 8 &&
      row.readInt32BE(streamIdAt - 4) === 8 &&
      row.readInt32BE(revisionAt - 4) === 8 &&
      row.readInt32BE(typeIdAt - 4) === 4 &&
      row.readInt32BE(commitNoAt - 4) === 8 &&
      row.readInt32BE(eventIdAt - 4) === 16
    if (!fits) throw new RangeError('a row of table event is not in the form that its columns have')
    this.row = row
    this.position = int8At(row, positionAt)
    this.streamId = int8At(row, streamIdAt)
    this.revision = int8At(row, revisionAt)
    this.typeId = row.readInt32BE(typeIdAt)
    this.commitNo = int8At(row, commitNoAt)
    this.#metaAt = dataAt + 4 + Math.max(row.readInt32BE(dataAt), 0)
    this.#hashAt = this.#metaAt + 4 + Math.max(row.readInt32BE(this.#metaAt), 0)
  }

  get isErased(): boolean {
    return this.row.readInt32BE(dataAt) === -1
  }

  get hasMeta(): boolean {
    return this.row.readInt32BE(this.#metaAt) !== -1
  }

  get hasDataHash(): boolean {
    return this.row.readInt32BE(this.#hashAt) !== -1
  }

  get data(): Buffer | null {
    return this.isErased ? null : this.row.subarray(dataAt + 4, this.#metaAt)
  }

  get meta(): Buffer | null {
    return this.row.readInt32BE(this.#metaAt) === -1 ? null : this.row.subarray(this.#metaAt + 4, this.#hashAt)
  }

  get dataHash(): Buffer | null {
    const length = this.row.readInt32BE(this.#hashAt)
    return length === -1 ? null : this.row.subarray(this.#hashAt + 4, this.#hashAt + 4 + length)
  }
}

function int8At(row: Buffer, offset: number): number {
  return row.readInt32BE(offset) * two32 + row.readUInt32BE(offset + 4)
}
