/** What an append demands of the stream's last revision before it; a bigint is that exact revision (0 for the first event). */
export type ExpectedRevision = 'any' | 'no_stream' | 'stream_exists' | bigint

/**
 * A fact about to be appended. `data` and `meta` are UTF-8 JSON and are stored byte for byte: UTF-8 without NUL is checked, JSON is
 * not. `eventId` is a UUID, `schema` the schema version of `type`, from 1.
 */
export interface NewEvent {
  readonly eventId: string
  readonly type: string
  readonly schema: number
  readonly data: string | Uint8Array
  readonly meta: string | Uint8Array
}

/** A big text that events name by its hash (lower-case hex SHA-256 of `bytes`). */
export interface Blob {
  readonly sha256: string
  readonly bytes: Uint8Array
}

/** The part of an append that goes to one stream. `blobs` are the big texts that these events name; those the log has are not stored again. */
export interface StreamWrite {
  readonly stream: string
  readonly expectedRevision: ExpectedRevision
  readonly events: readonly NewEvent[]
  readonly blobs?: readonly Blob[]
}

/** A fact as the log holds it. Positions count all events from 0 without a gap, revisions those of one stream; times are microseconds since 1970. */
export interface RecordedEvent {
  readonly position: bigint
  readonly stream: string
  readonly revision: bigint
  readonly type: string
  readonly schema: number
  readonly eventId: string
  readonly commitNo: bigint
  readonly epoch: number
  readonly recordedAtUs: bigint
  readonly data: Uint8Array
  readonly meta: Uint8Array
  /** Set where the data was erased: its SHA-256, which the tree commits to; `data` is empty then. */
  readonly dataHash?: Uint8Array
}

/** The end of the log: number, time and RFC 6962 tree root of the last commit, and the position of the last event (-1 in an empty log). */
export interface LogHead {
  readonly commitNo: bigint
  readonly position: bigint
  readonly recordedAtUs: bigint
  readonly epoch: number
  readonly root: Uint8Array
}
