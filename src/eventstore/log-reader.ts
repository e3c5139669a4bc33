import type { RecordedEvent } from './recorded-event.ts'

/** Which events of one stream to read. `from` is a revision; forwards starts at 0, backwards at the last, unless told. */
export interface ReadStreamOptions {
  readonly from?: bigint
  readonly maxCount?: number
  readonly direction?: 'forwards' | 'backwards'
  readonly signal?: AbortSignal
}

/** Which events of the whole log to read. `from` is a position; `sinceUs` skips commits stamped before it (forwards only). */
export interface ReadAllOptions extends ReadStreamOptions {
  readonly sinceUs?: bigint
}

/** The reading half of the event store: pages by primary key, never a gap, never an event that is not committed. */
export interface LogReader {
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<RecordedEvent>
  readAll(options?: ReadAllOptions): AsyncIterable<RecordedEvent>
  /** The position of the last event recorded at or before a time; -1 where none was. */
  positionAt(timeUs: bigint): Promise<bigint>
}
