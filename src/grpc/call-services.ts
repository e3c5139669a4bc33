import type { EventStore } from '../eventstore/event-store.ts'
import type { Clock } from '../util/clock.ts'
import type { CallPeer } from './call-peer.ts'

/** Bounds of what clients can make this server hold. */
export interface GrpcLimits {
  readonly connections: number
  /** Calls at a time on one connection; more wait in the client. */
  readonly callsPerConnection: number
  /** Events of one append, and bytes of their data and metadata. */
  readonly appendEvents: number
  readonly appendBytes: number
  /** Of one `BatchAppend` call: appends that arrive in parts at the same time, and appends that are not answered yet. */
  readonly partialAppends: number
  readonly unansweredAppends: number
  /** Bytes of one message of a client. */
  readonly messageBytes: number
  /** Longest wait for the first byte of a connection. */
  readonly firstByteMs: number
}

/** What is used where nothing else is said. */
export const defaultGrpcLimits: GrpcLimits = {
  connections: 200,
  callsPerConnection: 250,
  appendEvents: 1_000,
  appendBytes: 1 << 20,
  partialAppends: 16,
  unansweredAppends: 1_000,
  messageBytes: 4 << 20,
  firstByteMs: 10_000,
}

/** What calls are served with. */
export interface CallServices {
  readonly store: Pick<
    EventStore,
    'append' | 'readStream' | 'readAll' | 'subscribe' | 'subscribeStream' | 'head' | 'blobs'
  >
  readonly hostId: string
  readonly clock: Clock
  readonly limits: GrpcLimits
}

/** One call: who makes it, and what ends it early (the client, its deadline, the end of this server). */
export interface CallContext {
  readonly peer: CallPeer
  readonly signal: AbortSignal
  readonly services: CallServices
}
