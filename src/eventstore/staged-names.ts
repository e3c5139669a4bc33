import type { StreamHead } from './log-names.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** A stream in a batch: what is committed of it (null: nothing), and what the batch adds. */
export class StagedStream {
  readonly name: string
  readonly head: StreamHead | null
  /** The last revision with the batch, null before the first event. */
  revision: bigint | null
  readonly events: RecordedEvent[] = []
  /** Given when the commit is planned, where the stream is new. */
  streamId: bigint
  categoryId: number

  constructor(name: string, head: StreamHead | null) {
    this.name = name
    this.head = head
    this.revision = head?.revision ?? null
    this.streamId = head?.streamId ?? -1n
    this.categoryId = head?.categoryId ?? -1
  }

  /** Its events in the batch from a revision on. */
  from(revision: bigint): readonly RecordedEvent[] {
    const first = this.events[0]?.revision
    if (first === undefined || revision <= first) return this.events
    return this.events.slice(Number(revision - first))
  }
}

/** An event type in a batch; `typeId` is -1 until the commit is planned, where the type is new. */
export interface StagedType {
  readonly type: string
  readonly schema: number
  readonly isNew: boolean
  typeId: number
}
