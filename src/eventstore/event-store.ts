import type pg from 'pg'
import { checkAppend } from './append-request.ts'
import type { AsOfFloor } from './as-of-floor.ts'
import type { CommitWriter } from './commit-writer.ts'
import type {
  AppendOptions,
  AppendResult,
  BlobReader,
  Commit,
  CommitListener,
  EventStoreLimits,
  LogAlarm,
} from './event-store-options.ts'
import type { BlobReads } from './blob-reads.ts'
import type { EventStoreStats } from './event-store-stats.ts'
import type { ErasurePlan, Erasures } from './erasures.ts'
import type { LogReader, ReadAllOptions, ReadStreamOptions } from './log-reader.ts'
import type { LogReads } from './log-reads.ts'
import type { LogRow } from './log-origin.ts'
import { messageOf } from './postgres-failure.ts'
import type { LogHead, RecordedEvent, StreamWrite } from './recorded-event.ts'
import { checkRequestId } from './request-book.ts'
import { signHead } from './sign-head.ts'
import type { NoteSigner } from './signed-note.ts'
import type { AppendRequest } from './stager.ts'
import type { Delivery, SubscribeOptions, SubscribeStreamOptions } from './subscription.ts'
import type { Decide } from './turn.ts'
import type { WriterSession } from './writer-session.ts'

/** What an open store consists of; made by `openEventStore`. */
export interface EventStoreParts {
  readonly writer: CommitWriter
  readonly session: WriterSession
  readonly reads: LogReads
  readonly pool: pg.Pool
  readonly limits: EventStoreLimits
  readonly nowUs: () => bigint
  readonly listeners: CommitListeners
  readonly settled: () => Promise<void>
  readonly stop: AbortController
  readonly asOf: AsOfFloor
  readonly log: LogRow
  readonly rolesProblem: string | null
  readonly blobs: BlobReads
  readonly erasures: Erasures
}

/** The log, opened as its one writer. */
export class EventStore implements LogReader {
  readonly blobs: BlobReader
  readonly #parts: EventStoreParts
  #closing: Promise<void> | null = null

  constructor(parts: EventStoreParts) {
    this.#parts = parts
    this.blobs = parts.blobs
  }

  /** The end of the log as far as it is committed. */
  get head(): LogHead {
    return this.#parts.writer.head
  }

  /**
   * Appends all writes in one commit, or nothing. Errors: see `append-errors.ts`; besides them, whatever a decision or a participant
   * throws to refuse it. An append that is retried with the same event ids and exact revisions is appended once.
   */
  append(what: readonly StreamWrite[] | Decide, options: AppendOptions = {}): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      options.signal?.throwIfAborted()
      try {
        this.#submit(what, { ...options, resolve, reject })
      } catch (error) {
        this.#parts.writer.stats.refuse(error)
        throw error
      }
    })
  }

  #submit(
    what: readonly StreamWrite[] | Decide,
    options: AppendOptions & Pick<AppendRequest, 'resolve' | 'reject'>,
  ): void {
    const { signal, kind = 'intent', requestId = null, resolve, reject } = options
    const { limits, writer, nowUs } = this.#parts
    const atMs = performance.now()
    if (requestId !== null) checkRequestId(requestId, { nowUs: nowUs(), limits })
    const checked = typeof what === 'function' ? what : checkAppend(what, limits, requestId)
    const request: AppendRequest = { what: checked, kind, requestId, atMs, alone: false, poison: null, resolve, reject }
    if (signal === undefined) writer.submit(request)
    else this.#submitWithdrawable(request, signal)
  }

  /** Its signal takes the request back as long as it waits. */
  #submitWithdrawable(request: AppendRequest, signal: AbortSignal): void {
    const settled = () => signal.removeEventListener('abort', abort)
    const withdrawable: AppendRequest = {
      ...request,
      resolve: (result) => (settled(), request.resolve(result)),
      reject: (error) => (settled(), request.reject(error)),
    }
    const abort = () => {
      if (this.#parts.writer.withdraw(withdrawable)) withdrawable.reject(signal.reason)
    }
    this.#parts.writer.submit(withdrawable)
    signal.addEventListener('abort', abort, { once: true })
  }

  /** The events of a stream, page by page; none where it does not exist. */
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<RecordedEvent> {
    return this.#parts.reads.readStream(stream, options)
  }

  /** The events of the log, page by page. */
  readAll(options?: ReadAllOptions): AsyncIterable<RecordedEvent> {
    return this.#parts.reads.readAll(options)
  }

  /**
   * The position of the last event recorded at or before a time, for an answer that will never change: later commits are stamped after
   * it, by this writer and by every next one. Throws where the time has not come yet, {@link FencedError} where another writer holds it.
   */
  async positionAt(timeUs: bigint): Promise<bigint> {
    await this.#parts.writer.holdAsOf(timeUs)
    if (timeUs > this.head.recordedAtUs) await this.#parts.asOf.raise(timeUs)
    return this.#parts.reads.positionAt(timeUs)
  }

  /** Every event once and in order: first what is there, then what comes, until the signal ends it or the store is closed. */
  subscribe(options?: SubscribeOptions): AsyncIterable<Delivery> {
    return this.#parts.reads.subscribe(options)
  }

  /** The same for one stream, which need not exist yet. */
  subscribeStream(stream: string, options?: SubscribeStreamOptions): AsyncIterable<Delivery> {
    return this.#parts.reads.subscribeStream(stream, options)
  }

  /** How the log and its writer are, out of memory. */
  get stats(): EventStoreStats {
    const { writer, reads, blobs } = this.#parts
    const { head, stats, queued, refusal } = writer
    const { ring, subscriptions } = reads.liveStats(head.position)
    return {
      head,
      writer: stats,
      unavailable: refusal?.message ?? null,
      queued,
      ring,
      subscriptions,
      cachedBlobs: blobs.cached,
    }
  }

  /** When the first event after a position was recorded, microseconds since 1970; null where there is none. */
  async recordedAfter(position: bigint): Promise<bigint | null> {
    const text = 'select at_us from commit where last_pos > $1::int8 order by last_pos limit 1'
    const { rows } = await this.#parts.pool.query<{ at_us: bigint }>(text, [position])
    return rows[0]?.at_us ?? null
  }

  /** Has `listener` told of every later commit, after the participants and those who asked before. Returns what ends it. */
  afterCommit(listener: CommitListener): () => void {
    return this.#parts.listeners.add(listener)
  }

  /** Why the writer has more rights in the database than it needs, where roles of its own were wanted; null where it has not. */
  get rolesProblem(): string | null {
    return this.#parts.rolesProblem
  }

  /** The log's own row: who it is. */
  get log(): LogRow {
    return this.#parts.log
  }

  /**
   * Signs what the log is now, and stores it: a C2SP checkpoint, whose key must bear the name of the log's origin. At the same size the
   * same note again. Throws {@link LogCorruptError} where the log is not one that continues what was signed before.
   */
  async signCheckpoint(signer: NoteSigner): Promise<string> {
    const { pool, log, writer } = this.#parts
    return await signHead(pool, { log, head: writer.head, tree: writer.tree, signer })
  }

  /**
   * What a `PayloadErased` event on a stream of category `node` has to say so that its append takes the data of an event away. Null where
   * there is no such event, or it has no data any more.
   */
  async planErasure(position: bigint): Promise<ErasurePlan | null> {
    return await this.#parts.erasures.plan(position)
  }

  /** The root of the tree over the first `size` events, as it was recorded; null where no commit ends there. */
  async rootAt(size: bigint): Promise<Uint8Array | null> {
    const text = 'select root from commit where last_pos = $1::int8'
    const { rows } = await this.#parts.pool.query<{ root: Buffer }>(text, [size - 1n])
    return rows[0]?.root ?? null
  }

  /** Takes nothing more, waits for what is queued, lets go of the log. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    const { writer, session, reads, pool, stop, settled } = this.#parts
    await writer.close({ drainMs: closeDrainMs })
    stop.abort(new Error('The event store is closed'))
    await settled()
    await reads.close()
    await session.close()
    await pool.end()
  }
}

const closeDrainMs = 10_000

/** Those who are told of commits, in the order in which they asked; what one throws is reported and does not stop the others. */
export class CommitListeners {
  readonly #listeners: CommitListener[] = []
  readonly #alarm: (alarm: LogAlarm) => void

  constructor(alarm: (alarm: LogAlarm) => void) {
    this.#alarm = alarm
  }

  add(listener: CommitListener): () => void {
    this.#listeners.push(listener)
    return () => {
      const at = this.#listeners.indexOf(listener)
      if (at !== -1) this.#listeners.splice(at, 1)
    }
  }

  publish(commit: Commit): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(commit)
      } catch (error) {
        const text = `A listener failed at commit ${commit.commitNo}: ${messageOf(error)}`
        this.#alarm({
          kind: 'listener-failed',
          text,
          error: error instanceof Error ? error : new Error(messageOf(error)),
        })
      }
    }
  }
}
