import type { LogFilter } from './log-filter.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** What a subscriber is told, in the order of the log. Positions are those of the log, also where one stream is followed. */
export type Delivery =
  | { readonly kind: 'event'; readonly event: RecordedEvent }
  /** Filtered: everything up to here was looked at. */
  | { readonly kind: 'checkpoint'; readonly position: bigint }
  /** Everything up to here has been told; from now on events come as they are committed. */
  | { readonly kind: 'caught-up'; readonly position: bigint }
  /** Slower than events are kept in memory: the table is read again from here on, until the next `caught-up`. */
  | { readonly kind: 'fell-behind'; readonly position: bigint }

/** Which events to be told of. `from` is the first position wanted, 0 unless told; `end` is whatever comes after the last one there is. */
export interface SubscribeOptions {
  readonly from?: bigint | 'end'
  readonly filter?: LogFilter
  /** Filtered: a checkpoint each time at least so many positions were looked at, 4,096 unless told. */
  readonly checkpointEvery?: number
  /** Ends the subscription, without an error. */
  readonly signal?: AbortSignal
}

/** Which events of a stream to be told of. `from` is the first revision wanted, 0 unless told. */
export interface SubscribeStreamOptions {
  readonly from?: bigint | 'end'
  /** Ends the subscription, without an error. */
  readonly signal?: AbortSignal
}
