import { categoryOf } from '../events/stream-names.ts'
import { WrongExpectedRevisionError } from './append-errors.ts'
import type { CheckedAppend, CheckedWrite } from './append-request.ts'
import { type LogNames, type StreamHead, typeKey } from './log-names.ts'
import type { Blob, LogHead, RecordedEvent } from './recorded-event.ts'
import { evolveMemo, type Memo, type StateMemos } from './state-memos.ts'
import type { StreamFold } from './stream-fold.ts'
import type { Turn } from './turn.ts'

/** What a decision asked for that is not in memory. */
export type Missing =
  | { readonly kind: 'revision'; readonly stream: string }
  | { readonly kind: 'state'; readonly stream: string; readonly fold: StreamFold<unknown> }

/** The commit under construction: the overlay of streams and states over the committed ones, and what will be written. */
export class Batch {
  readonly names: LogNames
  readonly recordedAtUs: bigint
  readonly commitNo: bigint
  readonly epoch: number
  readonly firstPosition: bigint
  readonly events: RecordedEvent[] = []
  readonly blobs = new Map<string, Blob>()
  bytes = 0
  /** Committed heads and numbers of all names in this batch, null for new ones: held here, since the caches may forget them. */
  readonly heads = new Map<string, StreamHead | null>()
  readonly typeIds = new Map<string, number | null>()
  readonly categoryIds = new Map<string, number | null>()
  readonly #revisions = new Map<string, bigint>()
  readonly #byStream = new Map<string, RecordedEvent[]>()
  readonly #states = new Map<string, Map<StreamFold<unknown>, Memo>>()
  readonly #memos: StateMemos

  constructor(after: LogHead, caches: { names: LogNames; memos: StateMemos; recordedAtUs: bigint; epoch: number }) {
    this.commitNo = after.commitNo + 1n
    this.epoch = caches.epoch
    this.firstPosition = after.position + 1n
    this.recordedAtUs = caches.recordedAtUs
    this.names = caches.names
    this.#memos = caches.memos
  }

  get nextPosition(): bigint {
    return this.firstPosition + BigInt(this.events.length)
  }

  /** The stream's last revision with this batch, undefined where it has to be loaded first. */
  revision(stream: string): bigint | null | undefined {
    const staged = this.#revisions.get(stream)
    if (staged !== undefined) return staged
    const head = this.heads.has(stream) ? this.heads.get(stream) : this.names.head(stream)
    if (head === undefined) return undefined
    this.heads.set(stream, head)
    return head?.revision ?? null
  }

  /** Reads into the batch the heads of streams. */
  async loadHeads(streams: Iterable<string>): Promise<void> {
    const names = this.names
    const load = (wanted: readonly string[]) => names.loadHeads(wanted)
    await fill({ wanted: streams, into: this.heads, cached: (name) => names.head(name), load })
  }

  /** Reads into the batch whatever the appends name and no cache knows. */
  async loadNames(appends: readonly CheckedAppend[]): Promise<void> {
    const writes = appends.flatMap((append) => append.writes)
    const streams = new Set(writes.map((write) => write.stream))
    const types = new Set(writes.flatMap((write) => write.events.map((event) => typeKey(event.type, event.schema))))
    const categories = new Set([...streams].map(categoryOf))
    const names = this.names
    await this.loadHeads(streams)
    await fill({
      wanted: types,
      into: this.typeIds,
      cached: (name) => names.typeId(name),
      load: (list) => names.loadTypes(list),
    })
    await fill({
      wanted: categories,
      into: this.categoryIds,
      cached: (name) => names.categoryId(name),
      load: (list) => names.loadCategories(list),
    })
  }

  setState(stream: string, { fold, memo }: { readonly fold: StreamFold<unknown>; readonly memo: Memo }): void {
    const states = this.#states.get(stream) ?? new Map<StreamFold<unknown>, Memo>()
    this.#states.set(stream, states.set(fold, memo))
  }

  /** Events of this batch in one stream from a revision on. */
  staged(stream: string, from: bigint): readonly RecordedEvent[] {
    return (this.#byStream.get(stream) ?? []).filter((event) => event.revision >= from)
  }

  /** What a decision sees; `missing` fills with what it asked for in vain. */
  turn(missing: Missing[]): Turn {
    return new BatchTurn(this, missing)
  }

  /** The state of a stream with this batch, undefined where it has to be loaded first. */
  state(fold: StreamFold<unknown>, stream: string): Memo | undefined {
    const before = this.#states.get(stream)?.get(fold) ?? this.#memos.get(fold, stream)
    if (before === undefined) return undefined
    let memo = before
    for (const event of this.staged(stream, before.revision + 1n)) memo = evolveMemo(fold, memo, event)
    if (memo !== before) this.setState(stream, { fold, memo })
    return memo
  }

  /** Gives the events of an append their place after what is staged, without staging them. Throws {@link WrongExpectedRevisionError}. */
  number(append: CheckedAppend): readonly RecordedEvent[] {
    const revisions = new Map<string, bigint | null>()
    const events: RecordedEvent[] = []
    for (const write of append.writes) {
      let revision = revisions.get(write.stream) ?? this.#knownRevision(write.stream)
      checkExpected(write, revision)
      for (const event of write.events) {
        revision = (revision ?? -1n) + 1n
        const position = this.nextPosition + BigInt(events.length)
        events.push({
          ...event,
          position,
          stream: write.stream,
          revision,
          commitNo: this.commitNo,
          epoch: this.epoch,
          recordedAtUs: this.recordedAtUs,
        })
      }
      revisions.set(write.stream, revision)
    }
    return events
  }

  /** Takes numbered events and the big texts they name. */
  take(events: readonly RecordedEvent[], append: CheckedAppend): void {
    for (const event of events) {
      this.events.push(event)
      this.#revisions.set(event.stream, event.revision)
      const ofStream = this.#byStream.get(event.stream)
      if (ofStream === undefined) this.#byStream.set(event.stream, [event])
      else ofStream.push(event)
    }
    for (const write of append.writes) for (const blob of write.blobs) this.blobs.set(blob.sha256, blob)
    this.bytes += append.bytes + append.blobBytes
  }

  #knownRevision(stream: string): bigint | null {
    const revision = this.revision(stream)
    if (revision === undefined) throw new Error(`Cannot append to stream "${stream}": its head was not read`)
    return revision
  }
}

/** Thrown through a decision that has to wait for what it asked; the turn knows what it was. */
class NotLoadedError extends Error {}

class BatchTurn implements Turn {
  readonly recordedAtUs: bigint
  readonly nextPosition: bigint
  readonly #batch: Batch
  readonly #missing: Missing[]

  constructor(batch: Batch, missing: Missing[]) {
    this.recordedAtUs = batch.recordedAtUs
    this.nextPosition = batch.nextPosition
    this.#batch = batch
    this.#missing = missing
  }

  revision(stream: string): bigint | null {
    const revision = this.#batch.revision(stream)
    if (revision !== undefined) return revision
    this.#missing.push({ kind: 'revision', stream })
    throw new NotLoadedError(`The head of stream "${stream}" has to be read first`)
  }

  state<State>(fold: StreamFold<State>, stream: string): State
  state(fold: StreamFold<unknown>, stream: string): unknown {
    const memo = this.#batch.state(fold, stream)
    if (memo !== undefined) return memo.state
    this.#missing.push({ kind: 'state', fold, stream })
    throw new NotLoadedError(`Stream "${stream}" has to be read first`)
  }
}

interface Fill<Value> {
  readonly wanted: Iterable<string>
  readonly into: Map<string, Value | null>
  readonly cached: (name: string) => Value | null | undefined
  readonly load: (names: readonly string[]) => Promise<ReadonlyMap<string, Value | null>>
}

async function fill<Value>({ wanted, into, cached, load }: Fill<Value>): Promise<void> {
  const unknown: string[] = []
  for (const name of wanted) {
    if (into.has(name)) continue
    const value = cached(name)
    if (value === undefined) unknown.push(name)
    else into.set(name, value)
  }
  if (unknown.length === 0) return
  const loaded = await load(unknown)
  for (const name of unknown) into.set(name, loaded.get(name) ?? null)
}

function checkExpected(write: CheckedWrite, current: bigint | null): void {
  const { expectedRevision: expected, stream } = write
  const fits =
    expected === 'any' ||
    (expected === 'no_stream' && current === null) ||
    (expected === 'stream_exists' && current !== null) ||
    expected === current
  if (!fits) throw new WrongExpectedRevisionError(stream, expected, current)
}
