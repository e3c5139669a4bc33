import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSource } from './eventstore/database-source.ts'
import { openEmbeddedPostgres as openServer } from './eventstore/embedded-postgres.ts'
import type { EventStore as WriterStore } from './eventstore/event-store.ts'
import type {
  AppendOptions,
  AppendResult,
  BlobReader,
  ClockJump,
  CommitListener,
  EventStoreLimits,
  FenceInfo,
  LogAlarm,
  WriterHolder,
} from './eventstore/event-store-options.ts'
import type { LogReader, ReadAllOptions, ReadStreamOptions } from './eventstore/log-reader.ts'
import { openEventStore as openWriterStore } from './eventstore/open-event-store.ts'
import { openLogReader as openReader } from './eventstore/open-log-reader.ts'
import type { PostgresAddress } from './eventstore/postgres-address.ts'
import type { LogHead, NewEvent, RecordedEvent, StreamWrite } from './eventstore/recorded-event.ts'
import { parseVerifierKey } from './eventstore/signed-note.ts'
import type { Delivery, SubscribeOptions, SubscribeStreamOptions } from './eventstore/subscription.ts'
import type { Decide } from './eventstore/turn.ts'
import { verifyLog as verifySource } from './eventstore/verify-log.ts'
import { type Enlisted, enlistedAs } from './enlisted-participants.ts'
import type { Participant } from './library-participant.ts'

export {
  CommitInDoubtError,
  FencedError,
  InvalidAppendError,
  LogBusyError,
  LogClosedError,
  LogCorruptError,
  LogUnavailableError,
  RequestMismatchError,
  RequestWindowError,
  SchemaTooNewError,
  WriterBusyError,
  WrongExpectedRevisionError,
} from './eventstore/append-errors.ts'
export type {
  AppendKind,
  AppendOptions,
  AppendResult,
  BlobReader,
  ClockJump,
  Commit,
  CommitListener,
  EventStoreLimits,
  FenceInfo,
  LogAlarm,
  WriterHolder,
} from './eventstore/event-store-options.ts'
export type { LogFilter, NameFilter, NamePattern } from './eventstore/log-filter.ts'
export type { LogReader, ReadAllOptions, ReadStreamOptions } from './eventstore/log-reader.ts'
export type { PostgresAddress } from './eventstore/postgres-address.ts'
export type {
  Blob,
  ExpectedRevision,
  LogHead,
  NewEvent,
  RecordedEvent,
  StreamWrite,
} from './eventstore/recorded-event.ts'
export type { StreamFold } from './eventstore/stream-fold.ts'
export type { Delivery, SubscribeOptions, SubscribeStreamOptions } from './eventstore/subscription.ts'
export type { Decide, Turn } from './eventstore/turn.ts'
export type { Participant } from './library-participant.ts'

/** How to open a log as its writer. Only the address is needed; times are microseconds since 1970. */
export interface EventStoreOptions {
  readonly address: PostgresAddress
  /** UUID of the host that the log belongs to: another one's log is refused. Unless told whatever the log says, a new one for a new log. */
  readonly hostId?: string
  /** Who a second opener is told of; this process unless told. */
  readonly holder?: WriterHolder
  /** The events of the first commit of this writer, at least one; one `LogOpened` in stream `log-<log id>` unless told. */
  readonly fence?: (info: FenceInfo) => readonly StreamWrite[]
  /** What takes part in every commit: `ReadModels` of `chronovisor/readmodel`. */
  readonly participants?: readonly Participant[]
  readonly limits?: Partial<EventStoreLimits>
  /** Wall clock. */
  readonly nowUs?: () => bigint
  /** Hears what an operator must hear of: the log is away or back, lost to another writer, a stream is quarantined in a read model. */
  readonly onAlarm?: (alarm: LogAlarm) => void
  /** Hears that the wall clock was set. Commits go on to be stamped in increasing order. */
  readonly onClockJump?: (jump: ClockJump) => void
  /** Gives up opening. */
  readonly signal?: AbortSignal
}

/** What a log is called: made once, never changed. */
export interface LogIdentity {
  readonly logId: string
  readonly hostId: string
  readonly createdAtUs: bigint
}

/** A log, opened as its one writer. Closing (or disposing) it waits for what is queued, and lets go of the log. */
export interface EventStore extends LogReader, AsyncDisposable {
  readonly log: LogIdentity
  /** The end of the log as far as it is committed. */
  readonly head: LogHead
  readonly blobs: BlobReader
  /**
   * Appends all writes in one commit, on disk when it resolves, or nothing. With a function in place of writes the decision is made in the
   * writer's turn, against what is committed. The same event ids at the same exact revisions again are a success without new events, and so
   * is the same `requestId`.
   *
   * Throws WrongExpectedRevisionError, InvalidAppendError, RequestWindowError, RequestMismatchError, LogBusyError, LogUnavailableError,
   * FencedError and LogClosedError, after which nothing was appended; CommitInDoubtError, after which it may have been; and what a decision
   * or a live read model throws to refuse it.
   */
  append(what: readonly StreamWrite[] | Decide, options?: AppendOptions): Promise<AppendResult>
  /** Has `listener` told of every later commit, in order. It must not throw or wait. Returns what ends it. */
  afterCommit(listener: CommitListener): () => void
  /** The RFC 6962 root over the first `size` events, as it was recorded; null where no commit ends there. */
  rootAt(size: bigint): Promise<Uint8Array | null>
  close(): Promise<void>
}

/**
 * Opens a log as its one writer, and makes it where the database has none: locks it, brings its schema up to date, and appends the first
 * commit, after which no former writer can append any more. The database needs to be PostgreSQL 15 or newer.
 *
 * Throws WriterBusyError where another process holds the log, SchemaTooNewError where a newer version of this package has been here,
 * LogCorruptError, LogUnavailableError, or what PostgreSQL says.
 */
export async function openEventStore(options: EventStoreOptions): Promise<EventStore> {
  const { participants = [], ...rest } = options
  const enlisted = participants.map(enlistedAs)
  const store = await openWriterStore({ ...rest, participants: enlisted.map(({ participant }) => participant) })
  for (const each of enlisted) each.opened()
  return new OpenStore(store, enlisted)
}

/** How to open a log for reading. */
export interface LogReaderOptions {
  readonly address: PostgresAddress
  /** The writer's feed, a UNIX socket: events arrive within milliseconds. Without it the table is looked at every 5 to 250 ms. */
  readonly feed?: string
}

/** A log, open for reading. Closing (or disposing) it ends its subscriptions. */
export interface OpenLogReader extends LogReader, AsyncDisposable {
  readonly blobs: BlobReader
  /** The end of the log now. */
  head(): Promise<LogHead>
  close(): Promise<void>
}

/**
 * Opens a log for reading, in any process and as often as wanted, beside its writer or without one. Throws where the database holds no log,
 * or one of another format or an older schema.
 */
export async function openLogReader(options: LogReaderOptions): Promise<OpenLogReader> {
  return await openReader(options)
}

/** Where the embedded server is kept. */
export interface EmbeddedPostgresOptions {
  /** Everything of it is below `<stateDir>/postgresql`; made where it does not exist. */
  readonly stateDir: string
  /** Its socket is in `<socketDir>/postgresql`; `<stateDir>/run` unless told. A socket's path has 107 bytes at most. */
  readonly socketDir?: string
  /** Hears what it does; nobody unless told. */
  readonly log?: { info(message: string): void; warn(message: string): void }
  /** Gives up starting. */
  readonly signal?: AbortSignal
}

/** An embedded server that runs, and is started again where it ends. Closing (or disposing) it stops it. */
export interface EmbeddedPostgres extends AsyncDisposable {
  /** For {@link openEventStore} and {@link openLogReader}. */
  readonly address: PostgresAddress
  close(): Promise<void>
}

/**
 * Starts the PostgreSQL that comes with this package, on a UNIX socket only: nothing has to be installed. As root it runs as the system
 * user `chronovisor-postgres`. Throws where it cannot run, saying why.
 */
export async function openEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const silent = { info: () => undefined, warn: () => undefined }
  const server = await openServer({ log: silent, socketDir: join(options.stateDir, 'run'), ...options })
  return {
    address: server.connection,
    close: () => server.stop(),
    [Symbol.asyncDispose]: () => server.stop(),
  }
}

/**
 * A fact to append, its data and metadata as JSON: bigints become decimal strings. The event id is random and the schema version 1 unless
 * told. Throws where the data is no JSON.
 *
 * @example
 * await store.append([{ stream: 'account-1', expectedRevision: 'no_stream', events: [jsonEvent('AccountOpened', { owner: 'Ada' })] }])
 */
export function jsonEvent(
  type: string,
  data: object,
  { eventId = randomUUID(), schema = 1, meta = {} }: { eventId?: string; schema?: number; meta?: object } = {},
): NewEvent {
  return { eventId, type, schema, data: jsonText(data), meta: jsonText(meta) }
}

/** The data of an event that is JSON; null where it was erased. Throws where it is no JSON. */
export function jsonData(event: Pick<RecordedEvent, 'data' | 'dataHash'>): unknown {
  return event.dataHash === undefined ? JSON.parse(new TextDecoder().decode(event.data)) : null
}

/** How to verify a log. */
export interface VerifyLogOptions {
  readonly address: PostgresAddress
  /** C2SP verifier keys of whom alone signed checkpoints are accepted; unless told those that the log itself names. Kept elsewhere, they show a log that was made anew. */
  readonly trustedKeys?: readonly string[]
  /** Hears now and then how many events are done. */
  readonly onProgress?: (events: bigint) => void
  readonly signal?: AbortSignal
}

/** What is wrong with a row of a log: `columns` are those that contradict the others; `position` is the event that it is about. */
export interface VerifyFinding {
  readonly table: string
  readonly key: string
  readonly columns: readonly string[]
  readonly position: bigint | null
  readonly text: string
}

/** What a verification came to: `count` findings, the first of which are listed; `size` and `root` are those of the tree as recomputed. */
export interface VerifyReport {
  readonly count: number
  readonly findings: readonly VerifyFinding[]
  readonly firstBadPosition: bigint | null
  readonly events: bigint
  readonly commits: bigint
  readonly checkpoints: number
  readonly size: bigint
  readonly root: Uint8Array
  /** What could not be checked, and why. */
  readonly notes: readonly string[]
}

/**
 * Recomputes a log from its rows, beside its writer: every hash, number and name. Nothing is trusted because it is stored. Throws where the
 * database cannot be read; what is wrong with the log is in the report.
 */
export async function verifyLog(options: VerifyLogOptions): Promise<VerifyReport> {
  const { address, trustedKeys, ...rest } = options
  await using source = await DatabaseSource.open(address)
  return await verifySource(source, { ...rest, trusted: trustedKeys?.map(parseVerifierKey) ?? null })
}

function jsonText(value: object): string {
  return JSON.stringify(value, (_key, member: unknown) => (typeof member === 'bigint' ? String(member) : member))
}

/** The writer's store, and the participants that follow it. */
class OpenStore implements EventStore {
  readonly blobs: BlobReader
  readonly #store: WriterStore
  readonly #enlisted: readonly Enlisted[]
  #closing: Promise<void> | null = null

  constructor(store: WriterStore, enlisted: readonly Enlisted[]) {
    this.#store = store
    this.#enlisted = enlisted
    this.blobs = store.blobs
  }

  get log(): LogIdentity {
    const { logId, hostId, createdAtUs } = this.#store.log
    return { logId, hostId, createdAtUs }
  }

  get head(): LogHead {
    return this.#store.head
  }

  append(what: readonly StreamWrite[] | Decide, options?: AppendOptions): Promise<AppendResult> {
    return this.#store.append(what, options)
  }

  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<RecordedEvent> {
    return this.#store.readStream(stream, options)
  }

  readAll(options?: ReadAllOptions): AsyncIterable<RecordedEvent> {
    return this.#store.readAll(options)
  }

  positionAt(timeUs: bigint): Promise<bigint> {
    return this.#store.positionAt(timeUs)
  }

  subscribe(options?: SubscribeOptions): AsyncIterable<Delivery> {
    return this.#store.subscribe(options)
  }

  subscribeStream(stream: string, options?: SubscribeStreamOptions): AsyncIterable<Delivery> {
    return this.#store.subscribeStream(stream, options)
  }

  afterCommit(listener: CommitListener): () => void {
    return this.#store.afterCommit(listener)
  }

  rootAt(size: bigint): Promise<Uint8Array | null> {
    return this.#store.rootAt(size)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    for (const each of this.#enlisted) await each.closing()
    await this.#store.close()
  }
}
