import type { ExpectedRevision } from '../../src/eventstore/recorded-event.ts'

/** An event as a client asked for it. `key` names it in its own data, so that a copy under another id is found too. */
export interface AskedEvent {
  readonly eventId: string
  readonly key: string
  /** Digest of the data; null where the writer's decision makes the data. */
  readonly digest: string | null
}

/** What an operation asked of one stream. */
export interface AskedWrite {
  readonly stream: string
  readonly expected: ExpectedRevision
  readonly events: readonly AskedEvent[]
}

/** Where the writer said that an event stands. */
export interface ToldPlace {
  readonly stream: string
  readonly revision: bigint
  /** Null where the store does not say. */
  readonly position: bigint | null
}

/** A commit and the Merkle root after it, as hexadecimal digits. */
export interface ToldHead {
  readonly commitNo: bigint
  readonly root: string
}

/**
 * What a client was told in the end. `refused`: nothing of it is in the log; `current` is the revision that was given as the reason.
 * `unknown`: all of it or nothing.
 */
export type Told =
  | {
      readonly kind: 'acknowledged'
      readonly commitNo: bigint | null
      /** The end of the log as the writer knew it when it answered. */
      readonly head: ToldHead | null
      readonly places: readonly ToldPlace[]
    }
  | {
      readonly kind: 'refused'
      readonly reason: string
      readonly wrongRevision: { readonly stream: string; readonly current: bigint | null } | null
    }
  | { readonly kind: 'unknown'; readonly reason: string }

/** An append and its end. Ticks number everything that the clients' process sends and hears, in order. */
export interface Operation {
  readonly id: string
  readonly kind: string
  readonly writes: readonly AskedWrite[]
  readonly startTick: number
  readonly endTick: number
  readonly tries: number
  readonly told: Told
}

/** The last revision of a stream that a client was shown; null where there was none. */
export interface SeenRevision {
  readonly stream: string
  readonly revision: bigint | null
  readonly startTick: number
}

/** An answer to "which position at this time". */
export interface SeenMoment {
  readonly timeUs: bigint
  readonly position: bigint
}

/** An event as the table has it at the end. `key` and `value` come from its data; the log's own events have none. */
export interface LoggedEvent {
  readonly position: bigint
  readonly stream: string
  readonly revision: bigint
  readonly eventId: string
  readonly key: string | null
  readonly value: number | null
  readonly digest: string
  /** Hash of the big text that its data names. */
  readonly blob: string | null
  readonly commitNo: bigint
}

/** A commit as the table has it at the end, and the root that follows from the events up to its last. */
export interface LoggedCommit {
  readonly commitNo: bigint
  readonly firstPosition: bigint
  readonly lastPosition: bigint
  readonly recordedAtUs: bigint
  readonly epoch: number
  readonly root: string
  readonly computedRoot: string
}

/** The log at the end; a store without commits has none. */
export interface LoggedLog {
  readonly events: readonly LoggedEvent[]
  readonly commits: readonly LoggedCommit[] | null
  /** Hashes of the big texts that are there, each computed from its bytes. */
  readonly blobs: ReadonlySet<string>
}

/** One delivery that a consumer wrote down. */
export interface ConsumedEvent {
  readonly position: bigint
  readonly eventId: string
}

/** Everything a consumer wrote down, in its order. */
export interface ConsumerOutput {
  readonly name: string
  /** Takes only streams whose name begins so; empty: all. */
  readonly prefix: string
  readonly rows: readonly ConsumedEvent[]
}

/** The three sources of a run, and what was seen meanwhile. */
export interface ChaosHistory {
  readonly operations: readonly Operation[]
  readonly revisions: readonly SeenRevision[]
  readonly moments: readonly SeenMoment[]
  readonly log: LoggedLog
  readonly consumers: readonly ConsumerOutput[]
}

/** What a store claims, as far as stores differ. */
export interface Claims {
  /** Positions are 0, 1, 2, …; without it they only increase. */
  readonly densePositions: boolean
  /** The number of the first event of a stream. */
  readonly firstRevision: bigint
  /** Data comes back byte for byte. */
  readonly exactBytes: boolean
}

/** What this project's event store claims. */
export const ownClaims: Claims = { densePositions: true, firstRevision: 0n, exactBytes: true }
