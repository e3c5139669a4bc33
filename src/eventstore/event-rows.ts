import type pg from 'pg'
import { LogCorruptError } from './append-errors.ts'
import { BinaryRow, copyRows } from './copy-rows.ts'
import { Gate } from './gate.ts'
import { GenerationCache } from './generation-cache.ts'
import { readStatements } from './read-statements.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** An event type as events refer to it. */
export interface TypeName {
  readonly id: number
  readonly name: string
  readonly schema: number
}

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

interface CommitStamp {
  readonly commitNo: bigint
  readonly epoch: number
  readonly recordedAtUs: bigint
}

interface RawEvent {
  readonly position: bigint
  readonly streamId: number
  readonly revision: bigint
  readonly typeId: number
  readonly commitNo: number
  readonly eventId: string
  readonly data: Buffer | null
  readonly meta: Buffer | null
  readonly dataHash: Buffer | null
}

/** Bytes of rows in one page; a single larger row is read all the same. */
const pageBytes = 1 << 20
const cachedStreams = 50_000
const cachedCommits = 10_000
// Of the pool's eight connections: the rest is for those who append and for queries.
const connections = 4
const noBytes = Buffer.alloc(0)

/**
 * Reads rows of the event table and gives them the names of their streams and types and the stamps of their commits from memory, what is
 * not there in one query for a page: the server joins nothing. Names and stamps never change, so nothing remembered grows old.
 */
export class EventRows {
  readonly #pool: pg.Pool
  readonly #gate = new Gate(connections)
  readonly #streams = new GenerationCache<number, string>(cachedStreams)
  readonly #commits = new GenerationCache<number, CommitStamp>(cachedCommits)
  readonly #types: TypeName[] = []

  constructor(pool: pg.Pool) {
    this.#pool = pool
  }

  /** Runs one of the statements that select whole events. */
  async read(statement: string): Promise<EventPage> {
    return await this.#gate.pass(async () => {
      const { rows, isCut } = await copyRows(this.#pool, statement, { maxBytes: pageBytes })
      return { events: await this.#named(rows.map(rawEvent)), isCut }
    })
  }

  /** The position of the last event, -1 in an empty log. */
  async head(): Promise<bigint> {
    const [row] = await this.copy(readStatements.head())
    return row === undefined ? -1n : new BinaryRow(row).int8()
  }

  /** The end of a stream; null where there is no such stream. */
  async streamEnd(name: string): Promise<StreamEnd | null> {
    if (name.includes('\0') || !name.isWellFormed()) return null
    const [row] = await this.copy(readStatements.streamHead(name))
    if (row === undefined) return null
    const columns = new BinaryRow(row)
    const streamId = columns.count()
    this.#streams.set(streamId, name)
    return { streamId, revision: columns.int8(), position: columns.int8() }
  }

  /** All event types there are now. */
  async types(): Promise<readonly TypeName[]> {
    for (const row of await this.#copy(readStatements.typesAfter(this.#types.length - 1))) {
      const columns = new BinaryRow(row)
      const id = columns.int4()
      // Two readers may have asked at once.
      this.#types[id] ??= { id, schema: columns.int4(), name: columns.text() }
    }
    return this.#types
  }

  /** The rows of a statement that has a bound of its own. */
  async copy(statement: string): Promise<readonly Buffer[]> {
    return await this.#gate.pass(async () => await this.#copy(statement))
  }

  async #copy(statement: string): Promise<readonly Buffer[]> {
    return (await copyRows(this.#pool, statement, { maxBytes: Infinity })).rows
  }

  async #named(rows: readonly RawEvent[]): Promise<readonly RecordedEvent[]> {
    const loadStreams = async (ids: readonly number[]) => await this.#loadStreams(ids)
    const loadCommits = async (numbers: readonly number[]) => await this.#loadCommits(numbers)
    const streams = await resolveAll({ keys: rows.map((row) => row.streamId), cache: this.#streams, load: loadStreams })
    const commits = await resolveAll({ keys: rows.map((row) => row.commitNo), cache: this.#commits, load: loadCommits })
    if (rows.some((row) => this.#types[row.typeId] === undefined)) await this.types()
    return rows.map((row, at) => {
      const { position, revision, eventId, dataHash } = row
      const stream = streams[at]
      const type = this.#types[row.typeId]
      const commit = commits[at]
      if (stream === undefined) throw unnamed(position, `stream ${row.streamId}`)
      if (type === undefined) throw unnamed(position, `event type ${row.typeId}`)
      if (commit === undefined) throw unnamed(position, `commit ${row.commitNo}`)
      const event = {
        position,
        stream,
        revision,
        type: type.name,
        schema: type.schema,
        eventId,
        commitNo: commit.commitNo,
        epoch: commit.epoch,
        recordedAtUs: commit.recordedAtUs,
        data: row.data ?? noBytes,
        meta: row.meta ?? noBytes,
      }
      return dataHash === null ? event : { ...event, dataHash }
    })
  }

  async #loadStreams(ids: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const rows = await this.#copy(readStatements.streamNames(ids))
    return new Map(
      rows.map((row) => {
        const columns = new BinaryRow(row)
        return [columns.count(), columns.text()]
      }),
    )
  }

  async #loadCommits(numbers: readonly number[]): Promise<ReadonlyMap<number, CommitStamp>> {
    const first = numbers.reduce((least, number) => Math.min(least, number))
    const last = numbers.reduce((most, number) => Math.max(most, number))
    const isDense = last - first < 2 * numbers.length
    const statement = isDense ? readStatements.commitRange({ first, last }) : readStatements.commits(numbers)
    const rows = await this.#copy(statement)
    return new Map(
      rows.map((row) => {
        const columns = new BinaryRow(row)
        const commitNo = columns.int8()
        return [Number(commitNo), { commitNo, recordedAtUs: columns.int8(), epoch: columns.int4() }]
      }),
    )
  }
}

interface Resolving<Value> {
  readonly keys: readonly number[]
  readonly cache: GenerationCache<number, Value>
  readonly load: (keys: readonly number[]) => Promise<ReadonlyMap<number, Value>>
}

/** The value of each key; what had to be loaded is taken from there, since others may have pushed it out of the cache again. */
async function resolveAll<Value>({ keys, cache, load }: Resolving<Value>): Promise<readonly (Value | undefined)[]> {
  const missing = new Set<number>()
  const values = keys.map((key) => {
    const value = cache.get(key)
    if (value === undefined) missing.add(key)
    return value
  })
  if (missing.size === 0) return values
  const loaded = await load([...missing])
  for (const [key, value] of loaded) cache.set(key, value)
  return values.map((value, at) => value ?? loaded.get(keys[at] ?? -1))
}

function rawEvent(row: Buffer): RawEvent {
  const columns = new BinaryRow(row)
  return {
    position: columns.int8(),
    streamId: columns.count(),
    revision: columns.int8(),
    typeId: columns.int4(),
    commitNo: columns.count(),
    eventId: columns.uuid(),
    data: columns.bytes(),
    meta: columns.bytes(),
    dataHash: columns.bytes(),
  }
}

function unnamed(position: bigint, what: string): LogCorruptError {
  return new LogCorruptError(`Cannot read the log: ${what} of the event at position ${position} is missing`)
}
