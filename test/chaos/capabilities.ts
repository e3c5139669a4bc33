import type { TargetName } from './process-options.ts'
import { type Claims, ownClaims } from './history.ts'

/** What a store can be asked, and what it claims of its answers. */
export interface Capabilities {
  readonly claims: Claims
  /** Several streams in one append. */
  readonly severalStreams: boolean
  /** Expected revision `stream_exists`. */
  readonly streamExists: boolean
  /** Texts by hash, as-of answers, refusals for size: only ours has them. */
  readonly ownExtras: boolean
  /** The same append with the same event ids and exact revision is a success. */
  readonly idempotentRetry: boolean
  /** Appends without an exact revision are known again by a name that the caller gives. */
  readonly requestIds: boolean
  /** One process at a time may write. */
  readonly oneWriter: boolean
}

/** The stores by name. */
export const capabilities: Readonly<Record<TargetName, Capabilities>> = {
  ours: {
    claims: ownClaims,
    severalStreams: true,
    streamExists: true,
    ownExtras: true,
    idempotentRetry: true,
    requestIds: true,
    oneWriter: true,
  },
  emmett: {
    claims: { densePositions: false, firstRevision: 1n, exactBytes: false },
    severalStreams: false,
    streamExists: false,
    ownExtras: false,
    idempotentRetry: false,
    requestIds: false,
    oneWriter: false,
  },
  'message-db': {
    claims: { densePositions: false, firstRevision: 0n, exactBytes: false },
    severalStreams: false,
    streamExists: false,
    ownExtras: false,
    idempotentRetry: false,
    requestIds: false,
    oneWriter: false,
  },
}
