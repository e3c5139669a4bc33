import type { RecordedEvent } from './recorded-event.ts'

/** Who holds the log, as a second opener will be told. */
export interface WriterHolder {
  readonly pid: number
  readonly startedAtUs: bigint
  readonly host: string
}

/** Bounds of the store. */
export interface EventStoreLimits {
  /** Events and bytes of one commit; also the most that one append may have. */
  readonly batchEvents: number
  readonly batchBytes: number
  /** Bytes of `data` and of `meta` of one event, each. */
  readonly eventBytes: number
  readonly blobBytes: number
  /** Requests and bytes that wait for their turn; more is refused with LogBusyError. */
  readonly queueRequests: number
  readonly queueBytes: number
  /** Stream heads, decider states and blobs kept in memory. */
  readonly cachedStreams: number
  readonly cachedStates: number
  readonly cachedRequests: number
  readonly cachedBlobBytes: number
  /** Newest events kept in memory for those who follow the log; who is slower reads the table again. */
  readonly ringEvents: number
  readonly ringBytes: number
  /** How old, and how far ahead of the clock, the id of a repeatable request may be; it is remembered as long. */
  readonly requestWindowMs: number
  readonly requestAheadMs: number
  /** By how much the wall clock may leap against the monotonic clock without an event. */
  readonly clockJumpMs: number
  /** Longest wait for the answer to a COMMIT before the connection is given up. */
  readonly commitTimeoutMs: number
  /** Longest wait of a caller whose commit is in doubt. */
  readonly inDoubtWaitMs: number
  /** Longest wait at open for a former writer to let go of the log. */
  readonly lockWaitMs: number
  /** Events of one partition; chosen when the log is made, later values are ignored. */
  readonly partitionEvents: bigint
}

/** What is used where nothing else is said. */
export const defaultLimits: EventStoreLimits = {
  batchEvents: 1_000,
  batchBytes: 4 << 20,
  eventBytes: 60 << 10,
  blobBytes: 16 << 20,
  queueRequests: 10_000,
  queueBytes: 64 << 20,
  cachedStreams: 100_000,
  cachedStates: 10_000,
  cachedRequests: 50_000,
  cachedBlobBytes: 64 << 20,
  ringEvents: 16_384,
  ringBytes: 32 << 20,
  requestWindowMs: 24 * 3_600_000,
  requestAheadMs: 300_000,
  clockJumpMs: 2_000,
  commitTimeoutMs: 30_000,
  inDoubtWaitMs: 15_000,
  lockWaitMs: 3_000,
  partitionEvents: 1n << 24n,
}

/** What the fence commit is made from: the new epoch, and whether this is the first start on this log. */
export interface FenceInfo {
  readonly epoch: number
  readonly firstStart: boolean
}

/** How the wall clock jumped, in microseconds since 1970: from what it was last seen at, to what it is, by how much against the monotonic clock. */
export interface ClockJump {
  readonly oldUs: bigint
  readonly newUs: bigint
  readonly differenceUs: bigint
}

/**
 * Whether an append may still be refused. An `intent` may: a participant that cannot take it refuses it. A `fact` has happened
 * already: it is appended whatever a participant thinks of it.
 */
export type AppendKind = 'intent' | 'fact'

/** How to append. */
export interface AppendOptions {
  /** `intent` unless told: see {@link AppendKind}. */
  readonly kind?: AppendKind
  /**
   * The caller's name for this append, a UUID of version 7 in lower case: as long as its time is within the window, the same name again is
   * answered with the events of the first time, and appends nothing. For appends without an exact revision, which need no other name.
   */
  readonly requestId?: string
  /** Takes the request back while it still waits for its turn; later it has no effect. */
  readonly signal?: AbortSignal
}

/** What was appended. Nothing new (an idempotent retry, a decision without writes): `events` are the ones already there, or none. */
export interface AppendResult {
  readonly commitNo: bigint
  readonly lastPosition: bigint
  readonly events: readonly RecordedEvent[]
}

/** One commit, as listeners are told of it, in order and after the participants have it in their live state. */
export interface Commit {
  readonly commitNo: bigint
  readonly recordedAtUs: bigint
  readonly events: readonly RecordedEvent[]
}

/** Is told of every commit; must not throw or wait. Those registered first are told first. */
export type CommitListener = (commit: Commit) => void

/** The content-addressed texts. */
export interface BlobReader {
  /** The bytes whose SHA-256 is the given lower-case hex; throws where the log has no such text. */
  read(sha256: string): Promise<Uint8Array>
}

/** Something an operator must hear of, beside what the caller is told. */
export interface LogAlarm {
  readonly kind:
    | 'unavailable'
    | 'available'
    | 'fenced'
    | 'quarantined'
    | 'listener-failed'
    | 'partition-failed'
    | 'projection-failed'
  readonly text: string
  readonly error?: Error
}
