import type { BinaryRow } from './binary-row.ts'
import type { RecordedEvent } from './recorded-event.ts'
import type { SlotCache } from './slot-cache.ts'
import { UuidTexts } from './uuid-texts.ts'

/** An event type as events refer to it. */
export interface TypeName {
  readonly id: number
  readonly name: string
  readonly schema: number
}

/** What a commit says of all its events. */
export interface CommitStamp {
  readonly commitNo: bigint
  readonly epoch: number
  readonly recordedAtUs: bigint
}

/** What the numbers in events stand for, as far as it is in memory. */
export interface KnownNames {
  readonly streams: SlotCache<string>
  readonly commits: SlotCache<CommitStamp>
  readonly types: readonly TypeName[]
}

type Draft = { -readonly [Column in keyof RecordedEvent]: RecordedEvent[Column] }

/** An event whose names were not all in memory, and the numbers that stand for them. */
export interface UnnamedEvent {
  readonly draft: Draft
  readonly streamId: number
  readonly typeId: number
  readonly commitNo: number
}

const noBytes = Buffer.alloc(0)

/** The events of a page, made as their rows come in: most of them are whole at once, the others get their names in the end. */
export class DraftedEvents {
  readonly unnamed: UnnamedEvent[] = []
  readonly #names: KnownNames
  readonly #drafts: Draft[] = []
  readonly #ids = new UuidTexts()

  constructor(names: KnownNames) {
    this.#names = names
  }

  /** Takes a row of pos, stream_id, revision, type_id, commit_no, event_id, data, meta, data_hash. */
  add(columns: BinaryRow): void {
    const position = columns.int8()
    const streamId = columns.count()
    const revision = columns.int8()
    const typeId = columns.int4()
    const commitNo = columns.count()
    columns.uuid(this.#ids)
    const stream = this.#names.streams.get(streamId)
    const type = this.#names.types[typeId]
    const commit = this.#names.commits.get(commitNo)
    const draft: Draft = {
      position,
      stream: stream ?? '',
      revision,
      type: type?.name ?? '',
      schema: type?.schema ?? 0,
      eventId: '',
      commitNo: commit?.commitNo ?? 0n,
      epoch: commit?.epoch ?? 0,
      recordedAtUs: commit?.recordedAtUs ?? 0n,
      data: columns.bytes() ?? noBytes,
      meta: columns.bytes() ?? noBytes,
    }
    const dataHash = columns.bytes()
    if (dataHash !== null) draft.dataHash = dataHash
    this.#drafts.push(draft)
    if (stream === undefined || type === undefined || commit === undefined)
      this.unnamed.push({ draft, streamId, typeId, commitNo })
  }

  /** The events, whose names are known by now. */
  finish(): readonly RecordedEvent[] {
    for (const [at, draft] of this.#drafts.entries()) draft.eventId = this.#ids.text(at)
    return this.#drafts
  }
}
