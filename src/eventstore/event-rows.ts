import type pg from 'pg'
import { LogCorruptError } from './append-errors.ts'
import type { BinaryRow } from './binary-row.ts'
import { copyRows } from './copy-rows.ts'
import { type CommitStamp, DraftedEvents, type TypeName, type UnnamedEvent } from './drafted-events.ts'
import { Gate } from './gate.ts'
import { readStatements } from './read-statements.ts'
import type { RecordedEvent } from './recorded-event.ts'
import { SlotCache } from './slot-cache.ts'

/** The end of a stream. */
export interface StreamEnd {
  readonly streamId: number
  readonly revision: bigint
  readonly position: bigint
}

/** Events in the order asked for. A page that is cut ends before the range does, for its bytes. */
export interface EventPage {
  readonly events: readonly RecordedEvent[]
  readonly isCut: boolean
}

/** Bytes of rows in one page; a single larger row is read all the same. */
const pageBytes = 1 << 20
const streamSlots = 65_536
const commitSlots = 16_384
// Of the pool's eight connections: the rest is for those who append and for queries.
const connections = 4

/**
 * Reads rows of the event table and gives them the names of their streams and types and the stamps of their commits from memory, what is
 * not there in one query for a page: the server joins nothing. Names and stamps never change, so nothing remembered grows old.
 */
export class EventRows {
  readonly #pool: pg.Pool
  readonly #gate = new Gate(connections)
  readonly #streams = new SlotCache<string>(streamSlots)
  readonly #commits = new SlotCache<CommitStamp>(commitSlots)
  readonly #types: TypeName[] = []

  constructor(pool: pg.Pool) {
    this.#pool = pool
  }

  /** Runs one of the statements that select whole events. */
  async read(statement: string): Promise<EventPage> {
    return await this.#gate.pass(async () => {
      const drafted = new DraftedEvents({ streams: this.#streams, commits: this.#commits, types: this.#types })
      const read = (columns: BinaryRow): void => drafted.add(columns)
      const { isCut } = await copyRows(this.#pool, statement, { maxBytes: pageBytes, read })
      if (drafted.unnamed.length > 0) await this.#name(drafted.unnamed)
      return { events: drafted.finish(), isCut }
    })
  }

  /** The position of the last event, -1 in an empty log. */
  async head(): Promise<bigint> {
    const [position] = await this.copy(readStatements.head(), (columns) => columns.int8())
    return position ?? -1n
  }

  /** The end of a stream; null where there is no such stream. */
  async streamEnd(name: string): Promise<StreamEnd | null> {
    if (name.includes('\0') || !name.isWellFormed()) return null
    const [end] = await this.copy(readStatements.streamHead(name), (columns) => ({
      streamId: columns.count(),
      revision: columns.int8(),
      position: columns.int8(),
    }))
    if (end === undefined) return null
    this.#streams.set(end.streamId, name)
    return end
  }

  /** All event types there are now. */
  async types(): Promise<readonly TypeName[]> {
    const found = await this.#copy(readStatements.typesAfter(this.#types.length - 1), (columns) => ({
      id: columns.int4(),
      schema: columns.int4(),
      name: columns.text(),
    }))
    for (const type of found) this.#types[type.id] ??= type // two readers may have asked at once
    return this.#types
  }

  /** The rows of a statement that has a bound of its own. */
  async copy<Row>(statement: string, read: (columns: BinaryRow) => Row): Promise<readonly Row[]> {
    return await this.#gate.pass(async () => await this.#copy(statement, read))
  }

  async #copy<Row>(statement: string, read: (columns: BinaryRow) => Row): Promise<readonly Row[]> {
    return (await copyRows(this.#pool, statement, { maxBytes: Infinity, read })).rows
  }

  /** Most pages come here, since the commits of what is read for the first time are not in memory. */
  async #name(events: readonly UnnamedEvent[]): Promise<void> {
    const ids = missing(this.#streams, { of: events, key: ({ streamId }) => streamId })
    const numbers = missing(this.#commits, { of: events, key: ({ commitNo }) => commitNo })
    const streams = ids.size === 0 ? null : await this.#loadStreams([...ids])
    const commits = numbers.size === 0 ? null : await this.#loadCommits([...numbers])
    if (events.some(({ typeId }) => this.#types[typeId] === undefined)) await this.types()
    for (const { draft, streamId, typeId, commitNo } of events) {
      // What had to be loaded is taken from there where others have pushed it out of the cache again.
      const stream = this.#streams.get(streamId) ?? streams?.get(streamId)
      const type = this.#types[typeId]
      const commit = this.#commits.get(commitNo) ?? commits?.get(commitNo)
      if (stream === undefined) throw unnamed(draft.position, `stream ${streamId}`)
      if (type === undefined) throw unnamed(draft.position, `event type ${typeId}`)
      if (commit === undefined) throw unnamed(draft.position, `commit ${commitNo}`)
      draft.stream = stream
      draft.type = type.name
      draft.schema = type.schema
      draft.commitNo = commit.commitNo
      draft.epoch = commit.epoch
      draft.recordedAtUs = commit.recordedAtUs
    }
  }

  async #loadStreams(ids: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const names = await this.#copy(readStatements.streamNames(ids), (columns) => ({
      id: columns.count(),
      name: columns.text(),
    }))
    for (const { id, name } of names) this.#streams.set(id, name)
    return new Map(names.map(({ id, name }) => [id, name]))
  }

  async #loadCommits(numbers: readonly number[]): Promise<ReadonlyMap<number, CommitStamp>> {
    const first = numbers.reduce((least, number) => Math.min(least, number))
    const last = numbers.reduce((most, number) => Math.max(most, number))
    const isDense = last - first < 2 * numbers.length
    const statement = isDense ? readStatements.commitRange({ first, last }) : readStatements.commits(numbers)
    const stamps = await this.#copy(statement, (columns) => ({
      commitNo: columns.int8(),
      recordedAtUs: columns.int8(),
      epoch: columns.int4(),
    }))
    for (const stamp of stamps) this.#commits.set(Number(stamp.commitNo), stamp)
    return new Map(stamps.map((stamp) => [Number(stamp.commitNo), stamp]))
  }
}

/** The keys of events that a cache does not have. Neighbours often have the same. */
function missing<Value>(
  cache: SlotCache<Value>,
  { of: events, key }: { readonly of: readonly UnnamedEvent[]; readonly key: (event: UnnamedEvent) => number },
): ReadonlySet<number> {
  const keys = new Set<number>()
  let last = -1
  for (const event of events) {
    const number = key(event)
    if (number !== last && cache.get(number) === undefined) keys.add(number)
    last = number
  }
  return keys
}

function unnamed(position: bigint, what: string): LogCorruptError {
  return new LogCorruptError(`Cannot read the log: ${what} of the event at position ${position} is missing`)
}
