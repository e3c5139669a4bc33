import { categoryOf } from '../events/stream-names.ts'
import { WrongExpectedRevisionError } from './append-errors.ts'
import type { CheckedAppend, CheckedEvent, CheckedWrite } from './append-request.ts'
import { type LogNames, typeKey } from './log-names.ts'
import type { Blob, LogHead, RecordedEvent } from './recorded-event.ts'
import { StagedStream, type StagedType } from './staged-names.ts'
import { evolveMemo, type Memo, type StateMemos } from './state-memos.ts'
import type { StreamFold } from './stream-fold.ts'

/** The commit under construction: the overlay of streams and states over the committed ones, and what will be written. */
export class Batch {
  readonly names: LogNames
  readonly recordedAtUs: bigint
  readonly commitNo: bigint
  readonly epoch: number
  readonly firstPosition: bigint
  readonly events: RecordedEvent[] = []
  /** The stream and the type of each event. */
  readonly eventStreams: StagedStream[] = []
  readonly eventTypes: StagedType[] = []
  readonly blobs = new Map<string, Blob>()
  /** The events of requests that have an id. */
  readonly requests = new Map<string, readonly RecordedEvent[]>()
  bytes = 0
  // What it has asked the names for stays here, since they may forget it.
  readonly #streams = new Map<string, StagedStream>()
  readonly #types = new Map<string, StagedType[]>()
  readonly #categories = new Map<string, number | null>()
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

  /** The streams with events in this batch, in the order in which they came. */
  get streams(): readonly StagedStream[] {
    return [...this.#streams.values()].filter(({ events }) => events.length > 0)
  }

  /** The types of its events. */
  get types(): readonly StagedType[] {
    return [...new Set(this.eventTypes)]
  }

  /** A stream as it is with this batch, undefined where its head has to be loaded first. */
  stream(name: string): StagedStream | undefined {
    const staged = this.#streams.get(name)
    if (staged !== undefined) return staged
    const head = this.names.head(name)
    return head === undefined ? undefined : this.#add(new StagedStream(name, head))
  }

  /** Number of a category that the log has, null of one it has not; {@link loadNames} has been told of it. */
  categoryId(name: string): number | null {
    return this.#categories.get(name) ?? null
  }

  /** Whether everything that an append names is in memory. */
  knows(append: CheckedAppend): boolean {
    return append.writes.every(
      (write) => this.#knowsStream(write.stream) && write.events.every((event) => this.#type(event) !== undefined),
    )
  }

  /** Reads into the batch the heads of streams. */
  async loadHeads(streams: Iterable<string>): Promise<void> {
    const unknown = [...new Set(streams)].filter((name) => this.stream(name) === undefined)
    if (unknown.length === 0) return
    for (const [name, head] of await this.names.loadHeads(unknown)) this.#add(new StagedStream(name, head))
  }

  /** Reads into the batch whatever the appends name and no cache knows. */
  async loadNames(appends: readonly CheckedAppend[]): Promise<void> {
    const writes = appends.flatMap((append) => append.writes)
    await this.loadHeads(writes.map(({ stream }) => stream))
    await this.#loadCategories(writes)
    await this.#loadTypes(writes.flatMap(({ events }) => events))
  }

  setState(stream: string, { fold, memo }: { readonly fold: StreamFold<unknown>; readonly memo: Memo }): void {
    const states = this.#states.get(stream) ?? new Map<StreamFold<unknown>, Memo>()
    this.#states.set(stream, states.set(fold, memo))
  }

  /** Events of this batch in one stream from a revision on. */
  staged(stream: string, from: bigint): readonly RecordedEvent[] {
    return this.#streams.get(stream)?.from(from) ?? []
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
    const { commitNo, epoch, recordedAtUs } = this
    const events: RecordedEvent[] = []
    const ahead = append.writes.length > 1 ? new Map<string, bigint | null>() : null
    let position = this.nextPosition
    for (const write of append.writes) {
      const { stream } = write
      let revision = ahead?.has(stream) === true ? (ahead.get(stream) ?? null) : this.#known(stream).revision
      checkExpected(write, revision)
      for (const { eventId, type, schema, data, meta } of write.events) {
        revision = revision === null ? 0n : revision + 1n
        events.push({ position, stream, revision, type, schema, eventId, commitNo, epoch, recordedAtUs, data, meta })
        position += 1n
      }
      ahead?.set(stream, revision)
    }
    return events
  }

  /** Takes the numbered events of an append and the big texts they name. */
  take(events: readonly RecordedEvent[], append: CheckedAppend): void {
    for (const event of events) {
      const stream = this.#known(event.stream)
      stream.revision = event.revision
      stream.events.push(event)
      this.events.push(event)
      this.eventStreams.push(stream)
      this.eventTypes.push(this.#knownType(event))
    }
    for (const write of append.writes) for (const blob of write.blobs) this.blobs.set(blob.sha256, blob)
    this.bytes += append.bytes + append.blobBytes
    if (append.requestId !== null && events.length > 0) this.requests.set(append.requestId, events)
  }

  #known(name: string): StagedStream {
    const stream = this.stream(name)
    if (stream === undefined) throw new Error(`Cannot append to stream "${name}": its head was not read`)
    return stream
  }

  #knownType(event: RecordedEvent): StagedType {
    const type = this.#type(event)
    if (type === undefined) throw new Error(`Cannot append ${event.type}: its number was not read`)
    return type
  }

  #add(stream: StagedStream): StagedStream {
    this.#streams.set(stream.name, stream)
    return stream
  }

  #knowsStream(name: string): boolean {
    const stream = this.stream(name)
    if (stream === undefined) return false
    return stream.head !== null || this.#knowsCategory(categoryOf(name))
  }

  #knowsCategory(name: string): boolean {
    if (this.#categories.has(name)) return true
    const known = this.names.categoryId(name)
    if (known !== undefined) this.#categories.set(name, known)
    return known !== undefined
  }

  async #loadCategories(writes: readonly CheckedWrite[]): Promise<void> {
    const begun = writes.filter(({ stream }) => this.stream(stream)?.head === null)
    const categories = new Set(begun.map(({ stream }) => categoryOf(stream)))
    const unknown = [...categories].filter((name) => !this.#knowsCategory(name))
    if (unknown.length === 0) return
    const loaded = await this.names.loadCategories(unknown)
    for (const name of unknown) this.#categories.set(name, loaded.get(name) ?? null)
  }

  async #loadTypes(events: readonly CheckedEvent[]): Promise<void> {
    const unknown = new Map<string, CheckedEvent>()
    for (const event of events) {
      if (this.#type(event) === undefined) unknown.set(typeKey(event.type, event.schema), event)
    }
    if (unknown.size === 0) return
    const loaded = await this.names.loadTypes([...unknown.values()])
    for (const [key, event] of unknown) this.#addType(event, loaded.get(key) ?? null)
  }

  #type(named: TypeName): StagedType | undefined {
    const { type, schema } = named
    const staged = this.#types.get(type)?.find((each) => each.schema === schema)
    if (staged !== undefined) return staged
    const typeId = this.names.typeId(type, schema)
    return typeId === undefined ? undefined : this.#addType(named, typeId)
  }

  #addType({ type, schema }: TypeName, typeId: number | null): StagedType {
    const added = { type, schema, isNew: typeId === null, typeId: typeId ?? -1 }
    const versions = this.#types.get(type)
    if (versions === undefined) this.#types.set(type, [added])
    else versions.push(added)
    return added
  }
}

interface TypeName {
  readonly type: string
  readonly schema: number
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
