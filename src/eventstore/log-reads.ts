import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { LogCorruptError } from './append-errors.ts'
import { passesFilter } from './log-filter.ts'
import type { LogReader, ReadAllOptions, ReadStreamOptions } from './log-reader.ts'
import type { RecordedEvent } from './recorded-event.ts'
import type { Delivery, SubscribeOptions, SubscribeStreamOptions } from './subscription.ts'

interface EventRow {
  readonly pos: bigint
  readonly stream: string
  readonly revision: bigint
  readonly type: string
  readonly schema_version: number
  readonly event_id: string
  readonly commit_no: bigint
  readonly epoch: number
  readonly at_us: bigint
  readonly data: Buffer
  readonly meta: Buffer
}

const pageEvents = 1_000
const pollMs = 20

// Materialised, so that the page is always taken by the primary key, whatever the planner thinks of the joins.
const named = (page: string, order: string) => `with page as materialized (${page})
  select p.pos, s.name as stream, p.revision, t.name as type, t.schema_version, p.event_id, p.commit_no, c.epoch, c.at_us, p.data, p.meta
  from page p join stream s using (stream_id) join event_type t using (type_id) join commit c using (commit_no) order by ${order}`

const sql = {
  all: {
    forwards: named('select * from event where pos >= $1::int8 and pos < $1::int8 + $2::int8', 'p.pos'),
    backwards: named('select * from event where pos <= $1::int8 and pos > $1::int8 - $2::int8', 'p.pos desc'),
  },
  stream: {
    forwards: named(
      'select * from event where stream_id = $3::int8 and revision >= $1::int8 and revision < $1::int8 + $2::int8',
      'p.revision',
    ),
    backwards: named(
      'select * from event where stream_id = $3::int8 and revision <= $1::int8 and revision > $1::int8 - $2::int8',
      'p.revision desc',
    ),
  },
} as const

/** Reads committed events with a pool of connections. */
export class LogReads implements LogReader {
  readonly #pool: pg.Pool

  constructor(pool: pg.Pool) {
    this.#pool = pool
  }

  async *readAll(options: ReadAllOptions = {}): AsyncGenerator<RecordedEvent, void> {
    const direction = options.direction ?? 'forwards'
    let from = options.from ?? 0n
    if (direction === 'backwards') {
      const last = await this.#lastPosition()
      if (options.from === undefined || from > last) from = last
    }
    if (options.sinceUs !== undefined) {
      if (direction === 'backwards')
        throw new Error('Cannot read backwards since a time: read forwards, or give a position')
      const before = await this.positionAt(options.sinceUs - 1n)
      if (before >= from) from = before + 1n
    }
    const events = this.#pages(
      { name: `all_${direction}`, text: sql.all[direction], from, numberOf: (event) => event.position },
      options.filter === undefined ? options : { direction },
    )
    let left = options.maxCount ?? Infinity
    for await (const event of events) {
      if (left <= 0) return
      if (!passesFilter(options.filter, event)) continue
      left -= 1
      yield event
    }
  }

  async *subscribe(options: SubscribeOptions = {}): AsyncGenerator<Delivery, void> {
    let next = options.from === 'end' ? (await this.#lastPosition()) + 1n : (options.from ?? 0n)
    let isLive = false
    while (!isOver(options.signal)) {
      for await (const event of this.readAll({ from: next })) {
        next = event.position + 1n
        if (passesFilter(options.filter, event)) yield { kind: 'event', event }
        if (isOver(options.signal)) return
      }
      if (!isLive) yield { kind: 'caught-up', position: next - 1n }
      isLive = true
      await sleep(pollMs, undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(
        () => undefined,
      )
    }
  }

  async *subscribeStream(stream: string, options: SubscribeStreamOptions = {}): AsyncGenerator<Delivery, void> {
    const head = options.from === 'end' ? await this.#streamHead(stream) : undefined
    let next = options.from === 'end' ? (head?.revision ?? -1n) + 1n : (options.from ?? 0n)
    let isLive = false
    while (!isOver(options.signal)) {
      const position = await this.#lastPosition()
      for await (const event of this.readStream(stream, { from: next })) {
        next = event.revision + 1n
        yield { kind: 'event', event }
        if (isOver(options.signal)) return
      }
      if (!isLive) yield { kind: 'caught-up', position }
      isLive = true
      await sleep(pollMs, undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(
        () => undefined,
      )
    }
  }

  async *readStream(stream: string, options: ReadStreamOptions = {}): AsyncGenerator<RecordedEvent, void> {
    const direction = options.direction ?? 'forwards'
    const head = await this.#streamHead(stream)
    if (head === undefined) return
    const from = options.from ?? (direction === 'forwards' ? 0n : head.revision)
    const limited = direction === 'backwards' && from > head.revision ? head.revision : from
    const page = { name: `stream_${direction}`, text: sql.stream[direction], from: limited, streamId: head.stream_id }
    yield* this.#pages({ ...page, numberOf: (event) => event.revision }, options)
  }

  /** All events of one commit. */
  async readCommit(commitNo: bigint): Promise<readonly RecordedEvent[]> {
    const { rows } = await this.#pool.query<{ first_pos: bigint; last_pos: bigint }>(
      'select first_pos, last_pos from commit where commit_no = $1::int8',
      [commitNo],
    )
    const commit = rows[0]
    if (commit === undefined) throw new LogCorruptError(`Cannot read commit ${commitNo}: the log has none`)
    const maxCount = Number(commit.last_pos - commit.first_pos + 1n)
    return Array.fromAsync(this.readAll({ from: commit.first_pos, maxCount }))
  }

  async positionAt(timeUs: bigint): Promise<bigint> {
    const { rows } = await this.#pool.query<{ last_pos: bigint }>(
      'select last_pos from commit where commit_no = commit_at($1::int8)',
      [timeUs],
    )
    return rows[0]?.last_pos ?? -1n
  }

  /** Yields page after page; a number that does not follow the one before is corruption, since the log has no gaps. */
  async *#pages(page: Page, { maxCount = Infinity, direction = 'forwards', signal }: ReadStreamOptions) {
    const step = direction === 'forwards' ? 1n : -1n
    let next = page.from
    let left = maxCount
    while (left > 0 && next >= 0n) {
      signal?.throwIfAborted()
      const size = Math.min(left, pageEvents)
      const values = [next, size, ...(page.streamId === undefined ? [] : [page.streamId])]
      const { rows } = await this.#pool.query<EventRow>({ name: page.name, text: page.text, values })
      for (const row of rows) {
        const event = recordedEvent(row)
        if (page.numberOf(event) !== next) {
          throw new LogCorruptError(`Cannot read the log: event ${next} is missing before position ${event.position}`)
        }
        next += step
        yield event
      }
      if (rows.length < size) return
      left -= rows.length
    }
  }

  async #lastPosition(): Promise<bigint> {
    const { rows } = await this.#pool.query<{ last_pos: bigint | null }>('select max(last_pos) as last_pos from commit')
    return rows[0]?.last_pos ?? -1n
  }

  async #streamHead(stream: string): Promise<{ stream_id: bigint; revision: bigint } | undefined> {
    const text = `select stream_id, (select max(revision) from event e where e.stream_id = s.stream_id) as revision
      from stream s where name = $1::text`
    const { rows } = await this.#pool.query<{ stream_id: bigint; revision: bigint }>({
      name: 'stream_head',
      text,
      values: [stream],
    })
    return rows[0]
  }
}

interface Page {
  readonly name: string
  readonly text: string
  readonly from: bigint
  readonly streamId?: bigint
  readonly numberOf: (event: RecordedEvent) => bigint
}

function recordedEvent(row: EventRow): RecordedEvent {
  return {
    position: row.pos,
    stream: row.stream,
    revision: row.revision,
    type: row.type,
    schema: row.schema_version,
    eventId: row.event_id,
    commitNo: row.commit_no,
    epoch: row.epoch,
    recordedAtUs: row.at_us,
    data: row.data,
    meta: row.meta,
  }
}

function isOver(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}
