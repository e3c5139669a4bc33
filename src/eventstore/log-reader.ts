import type { LogFilter } from './log-filter.ts'
import type { RecordedEvent } from './recorded-event.ts'
import type { Delivery, SubscribeOptions, SubscribeStreamOptions } from './subscription.ts'

/** Which events of one stream to read. `from` is a revision; forwards starts at 0, backwards at the last, unless told. */
export interface ReadStreamOptions {
  readonly from?: bigint
  readonly maxCount?: number
  readonly direction?: 'forwards' | 'backwards'
  readonly signal?: AbortSignal
}

/**
 * Which events of the whole log to read. `from` is a position; `sinceUs` leaves out commits stamped before it, so that backwards the
 * read ends there; `maxCount` counts events that pass the filter.
 */
export interface ReadAllOptions extends ReadStreamOptions {
  readonly sinceUs?: bigint
  readonly filter?: LogFilter
}

/** The reading half of the event store: pages by primary key, never a gap, never an event that is not committed. */
export interface LogReader {
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<RecordedEvent>
  readAll(options?: ReadAllOptions): AsyncIterable<RecordedEvent>
  /** The position of the last event recorded at or before a time; -1 where none was. */
  positionAt(timeUs: bigint): Promise<bigint>
  /** Every event once and in order: first what is there, then what comes, until the signal ends it or the reader is closed. */
  subscribe(options?: SubscribeOptions): AsyncIterable<Delivery>
  /** The same for one stream, which need not exist yet. */
  subscribeStream(stream: string, options?: SubscribeStreamOptions): AsyncIterable<Delivery>
}
