import type { FramedWrite } from './writer-frames.ts'
import type { ToldHead, ToldPlace } from './history.ts'

/** What was appended, as the writing process passes it on. */
export interface Appended {
  readonly commitNo: bigint | null
  readonly places: readonly ToldPlace[]
}

/** Thrown where it is certain that nothing was appended. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly wrongRevision: { readonly stream: string; readonly current: bigint | null } | null

  constructor(reason: string, wrongRevision: RefusedError['wrongRevision'] = null) {
    super(reason)
    this.wrongRevision = wrongRevision
  }
}

/** A counter's next number, decided by the store or by what stands in front of it. */
export interface CountRequest {
  readonly stream: string
  readonly event: { readonly eventId: string; readonly type: string; readonly key: string }
  readonly requestId: string | null
}

/** A store as the writing process serves it. Throws {@link RefusedError}; whatever else is thrown leaves the outcome unknown. */
export interface ServedStore {
  append(writes: readonly FramedWrite[], requestId: string | null): Promise<Appended>
  count(request: CountRequest): Promise<Appended>
  /** Last revision of a stream and the number in its last event. */
  last(stream: string): Promise<{ readonly revision: bigint | null; readonly value: number | null }>
  /** The position at a time so long ago. */
  moment(agoUs: bigint): Promise<{ readonly timeUs: bigint; readonly position: bigint }>
  /** The end of the log now; null where a store has no such thing. */
  head(): ToldHead | null
  setClock(offsetUs: bigint): void
  close(): Promise<void>
}

/** One event on its way to a consumer; `position` null: nothing to write down, but everything up to `upTo` was looked at. */
export type ConsumerDelivery =
  | { readonly kind: 'event'; readonly position: bigint; readonly eventId: string }
  | { readonly kind: 'skip'; readonly upTo: bigint }

/** Where a consumer gets its events from: in order, from a position on, until the signal. */
export type ConsumerSource = (wanted: {
  readonly from: bigint
  readonly prefix: string
  readonly signal: AbortSignal
}) => AsyncIterable<ConsumerDelivery>
