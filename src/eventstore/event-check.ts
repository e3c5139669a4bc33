import type { BlobCheck } from './blob-check.ts'
import type { BlockCheck } from './block-check.ts'
import { type ErasureCheck, erasureType } from './erasure-check.ts'
import type { EventRow } from './event-row.ts'
import type { LogFindings } from './log-finding.ts'
import type { NameTables } from './verify-names.ts'

/** What is checked of events beside their leaves. */
export interface EventCheckParts {
  readonly names: NameTables
  readonly findings: LogFindings
  readonly erasures: ErasureCheck
  readonly blobs: BlobCheck
  readonly blocks: { readonly types: BlockCheck; readonly categories: BlockCheck }
}

/** Checks of each event what its leaf does not say: its place in its stream, its commit, that nothing stands beside what was hashed. */
export class EventCheck {
  readonly #parts: EventCheckParts

  constructor(parts: EventCheckParts) {
    this.#parts = parts
  }

  /** Takes the events in order, each as it was recorded as far as that is known. */
  take(event: EventRow, commitNo: number): void {
    const { names, erasures, blobs, blocks } = this.#parts
    const { position, streamId, typeId } = event
    if (event.commitNo !== commitNo) {
      this.#add(event, ['commit_no'], `says that it is of commit ${event.commitNo}, it is of ${commitNo}`)
    }
    this.#place(event)
    const type = names.types[typeId]
    if (type === null || type === undefined) this.#add(event, ['type_id'], `has the type ${typeId}, which there is not`)
    else if (!names.useType(typeId)) this.#add(event, ['type_id'], `has the type ${typeId}, which was given out later`)
    if (!event.hasMeta) this.#add(event, ['meta'], 'has no meta')
    if (event.isErased) {
      if (event.dataHash?.length === 32) erasures.erased(event)
      else this.#add(event, ['data', 'data_hash'], 'has neither data nor the hash of it')
    } else {
      if (event.hasDataHash) this.#add(event, ['data_hash'], 'has data and a hash in its place')
      const name = type?.label ?? ''
      if (name === erasureType) erasures.recorded(event)
      blobs.take(event, name)
    }
    blocks.types.take(position, typeId)
    const stream = names.streams[streamId]
    if (stream !== null && stream !== undefined) blocks.categories.take(position, stream.categoryId)
  }

  #place(event: EventRow): void {
    const { position, streamId, revision } = event
    const stream = this.#parts.names.streams[streamId]
    if (stream === null || stream === undefined) {
      this.#add(event, ['stream_id'], `is of stream ${streamId}, which there is not`)
      return
    }
    const expected = stream.nextRevision
    stream.nextRevision = revision + 1
    if (expected === -1) return
    if (revision !== expected) {
      const text = `is revision ${revision} of stream ${streamId}, it should be ${expected}`
      this.#add(event, ['stream_id', 'revision'], text)
      if (expected > revision) stream.nextRevision = expected
    }
    if (expected > 0) return
    const isTurn = this.#parts.names.beginStream(streamId)
    const key = String(streamId)
    const name = stream.name.toString()
    if (stream.firstPosition !== position) {
      const text = `stream ${key} ("${name}") says that it begins at @${stream.firstPosition}, it begins at @${position}`
      this.#parts.findings.add({ table: 'stream', key, columns: ['first_pos'], position: BigInt(position), text })
    } else if (!isTurn) {
      const text = `stream ${key} ("${name}") has another number than the order of the streams gives`
      this.#parts.findings.add({ table: 'stream', key, columns: ['stream_id'], position: BigInt(position), text })
    }
  }

  #add({ position }: EventRow, columns: readonly string[], text: string): void {
    const at = BigInt(position)
    this.#parts.findings.add({ table: 'event', key: String(at), columns, position: at, text: `event @${at} ${text}` })
  }
}
