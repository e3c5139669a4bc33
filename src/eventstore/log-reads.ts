import type pg from 'pg'
import { LogCorruptError } from './append-errors.ts'
import { defaultLimits } from './event-store-options.ts'
import type { EventStoreStats } from './event-store-stats.ts'
import { EventRows } from './event-rows.ts'
import { Ending, type Followed, followLog } from './follow-log.ts'
import { FollowedStream } from './followed-stream.ts'
import { ItemIterator } from './item-iterator.ts'
import type { LiveLog } from './live-log.ts'
import { type LogFilter, passesFilter } from './log-filter.ts'
import type { LogReader, ReadAllOptions, ReadStreamOptions } from './log-reader.ts'
import { type HeadHints, LogTail } from './log-tail.ts'
import { type Passage, passages, revisionPages } from './passages.ts'
import type { Direction, Span } from './read-statements.ts'
import type { RecentReads } from './recent-reads.ts'
import type { RecordedEvent } from './recorded-event.ts'
import { RetryPatience } from './retry-patience.ts'
import type { Delivery, SubscribeOptions, SubscribeStreamOptions } from './subscription.ts'

/** Where live events come from: the ring of this process' own writer, else the table, with or without hints when to look. */
export interface LiveSource {
  readonly live?: LiveLog
  readonly hints?: HeadHints
  /** Where this process is the writer: small reads of streams out of memory. */
  readonly recent?: RecentReads
}

const defaultCheckpointEvery = 4_096

/** Reads committed events, and follows them, with a pool of connections. */
export class LogReads implements LogReader {
  readonly #pool: pg.Pool
  readonly #rows: EventRows
  readonly #live: LiveLog
  readonly #recent: RecentReads | null
  readonly #open = new Set<Ending>()
  #isClosed = false

  constructor(pool: pg.Pool, source: LiveSource = {}) {
    this.#pool = pool
    this.#rows = new EventRows(pool)
    this.#recent = source.recent ?? null
    this.#live = source.live ?? new LogTail(this.#rows, { limits: defaultLimits, hints: source.hints })
  }

  /** The position of the last event, -1 in an empty log. */
  async head(): Promise<bigint> {
    return await this.#rows.head()
  }

  readAll(options: ReadAllOptions = {}): AsyncIterable<RecordedEvent> {
    return itemsOf(this.#allPages(options), options)
  }

  readStream(stream: string, options: ReadStreamOptions = {}): AsyncIterable<RecordedEvent> {
    return itemsOf(this.#streamPages(stream, options), options)
  }

  subscribe(options: SubscribeOptions = {}): AsyncIterable<Delivery> {
    const { filter, checkpointEvery = defaultCheckpointEvery } = options
    // Where this process knows the end, it is the end at this call, not at the first use of what it returns.
    const from = options.from === 'end' ? (this.#live.ring.next ?? 'end') : atLeastZero(options.from)
    return this.#follow(options.signal, {
      begin: async () => (from === 'end' ? await this.#rows.head() : from - 1n),
      read: (after) => this.#passagesAfter(after, filter),
      wants: (event) => passesFilter(filter, event),
      stream: null,
      checkpointEvery: filter === undefined ? null : checkpointEvery,
    })
  }

  subscribeStream(stream: string, options: SubscribeStreamOptions = {}): AsyncIterable<Delivery> {
    return this.#follow(options.signal, new FollowedStream(this.#rows, { stream, from: options.from ?? 0n }))
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
    return await Array.fromAsync(this.readAll({ from: commit.first_pos, maxCount }))
  }

  async positionAt(timeUs: bigint): Promise<bigint> {
    const { rows } = await this.#pool.query<{ last_pos: bigint }>(
      'select last_pos from commit where commit_no = commit_at($1::int8)',
      [timeUs],
    )
    return rows[0]?.last_pos ?? -1n
  }

  /** The events in memory, and those who follow the log whose end is at `head`. */
  liveStats(head: bigint): Pick<EventStoreStats, 'ring' | 'subscriptions'> {
    const { size, bytes } = this.#live.ring
    const lags = [...this.#open].map((ending) => ending.lagEvents(head))
    const lagEvents = lags.reduce((most, lag) => (lag > most ? lag : most), 0n)
    return { ring: { count: size, bytes }, subscriptions: { count: lags.length, lagEvents } }
  }

  /** Ends all subscriptions; those begun later end at once. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const ending of this.#open) ending.end()
    await this.#live.close()
  }

  async *#allPages(options: ReadAllOptions): AsyncGenerator<readonly RecordedEvent[], void> {
    const { direction = 'forwards', sinceUs, filter, maxCount = Infinity } = options
    if (!(maxCount > 0)) return
    const head = await this.#rows.head()
    const since = sinceUs === undefined ? 0n : (await this.positionAt(sinceUs - 1n)) + 1n
    const from = options.from ?? (direction === 'forwards' ? 0n : head)
    const span =
      direction === 'forwards'
        ? { first: greatest(atLeastZero(from), since), last: head }
        : { first: since, last: from < head ? from : head }
    const wanted = filter === undefined ? firstOf(span, { maxCount, direction }) : span
    for await (const { events } of passages(this.#rows, { ...wanted, direction, filter })) yield events
  }

  async *#streamPages(stream: string, options: ReadStreamOptions): AsyncGenerator<readonly RecordedEvent[], void> {
    const { direction = 'forwards', maxCount = Infinity } = options
    if (!(maxCount > 0)) return
    const held = this.#recent === null ? null : await this.#recent.read(stream, (end) => spanOf(end, options))
    if (held !== null) {
      yield direction === 'forwards' ? held : held.toReversed()
      return
    }
    const end = await this.#rows.streamEnd(stream)
    if (end === null) return
    const { streamId, revision } = end
    yield* revisionPages(this.#rows, { streamId, span: spanOf(revision, options), direction })
  }

  async *#passagesAfter(after: bigint, filter: LogFilter | undefined): AsyncGenerator<Passage, void> {
    const last = await this.#rows.head()
    yield* passages(this.#rows, { first: after + 1n, last, direction: 'forwards', filter })
  }

  #follow(signal: AbortSignal | undefined, followed: Followed): AsyncIterable<Delivery> {
    const ending = new Ending()
    const deliveries = this.#deliveries(followed, { ending, signal })
    return new ItemIterator(deliveries, { isOver: () => ending.isOver, stop: () => ending.end() })
  }

  async *#deliveries(
    followed: Followed,
    { ending, signal }: { readonly ending: Ending; readonly signal: AbortSignal | undefined },
  ): AsyncGenerator<readonly Delivery[], void> {
    if (this.#isClosed || signal?.aborted === true) return
    const end = (): void => ending.end()
    signal?.addEventListener('abort', end, { once: true })
    this.#open.add(ending)
    const leave = await this.#live.join(ending.signal)
    try {
      yield* followLog(followed, { ring: this.#live.ring, ending, patience: new RetryPatience() })
    } finally {
      leave()
      this.#open.delete(ending)
      signal?.removeEventListener('abort', end)
    }
  }
}

/** The events of pages, at most `maxCount`, until the signal ends it with an error. */
function itemsOf(
  pages: AsyncGenerator<readonly RecordedEvent[], void>,
  { maxCount = Infinity, signal }: ReadStreamOptions,
): AsyncIterable<RecordedEvent> {
  const isOver = (): boolean => signal?.aborted === true
  return new ItemIterator(limited(pages, { maxCount, signal }), { isOver, stop: () => undefined })
}

async function* limited(
  pages: AsyncGenerator<readonly RecordedEvent[], void>,
  { maxCount, signal }: { readonly maxCount: number; readonly signal: AbortSignal | undefined },
): AsyncGenerator<readonly RecordedEvent[], void> {
  let left = maxCount
  signal?.throwIfAborted()
  for await (const events of pages) {
    signal?.throwIfAborted()
    yield events.length <= left ? events : events.slice(0, left)
    signal?.throwIfAborted()
    left -= events.length
    if (left <= 0) return
  }
}

/** The revisions that a read of a stream wants whose last one is `end`. */
function spanOf(end: bigint, { direction = 'forwards', maxCount = Infinity, from }: ReadStreamOptions): Span {
  const last = direction === 'forwards' || from === undefined || from > end ? end : from
  const span = { first: direction === 'forwards' ? atLeastZero(from) : 0n, last }
  return firstOf(span, { maxCount, direction })
}

/** The part of a span where a read that wants so many begins. */
function firstOf(span: Span, wish: { readonly maxCount: number; readonly direction: Direction }): Span {
  if (!Number.isFinite(wish.maxCount)) return span
  const reach = BigInt(Math.ceil(wish.maxCount)) - 1n
  if (wish.direction === 'backwards') return { first: greatest(span.first, span.last - reach), last: span.last }
  return { first: span.first, last: span.first + reach < span.last ? span.first + reach : span.last }
}

function atLeastZero(from: bigint | undefined): bigint {
  return from === undefined || from < 0n ? 0n : from
}

function greatest(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
