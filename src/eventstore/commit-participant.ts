import type pg from 'pg'
import type { AppendKind } from './event-store-options.ts'
import type { LogReader } from './log-reader.ts'
import type { LogHead, RecordedEvent } from './recorded-event.ts'

/** One request's events as the participants see them before the commit: positions, revisions and time are final if it is committed. */
export interface StagedRequest {
  readonly kind: AppendKind
  readonly events: readonly RecordedEvent[]
  /** Set when the changes computed for these very events were refused by the database: take the events without their changes. */
  readonly poison?: Error
}

/**
 * One data-changing SQL statement of the commit. The statements run in order in the commit's transaction, each sees what those before it
 * wrote. Parameters are `$1`..., each with an explicit cast; a string is sent in PostgreSQL's text form, bytes in its binary form. The same
 * `sql` for the same work: a text is planned once. Where `expectedRows` is given it ends in a RETURNING clause, and any other number of
 * rows is a sign that somebody else has written: the commit fails, naming `name`.
 */
export interface CommitStatement {
  readonly name: string
  readonly sql: string
  readonly values: readonly (string | Uint8Array | null)[]
  readonly expectedRows: number | null
}

/** What a participant gets to load its state from, once this process is the writer and before the first append is taken. */
export interface ParticipantContext {
  readonly pool: pg.Pool
  readonly head: LogHead
  readonly reader: LogReader
  /** The position as of a time, for an answer that never changes; see `EventStore.positionAt`. Usable once the store is open. */
  readonly positionAt: (timeUs: bigint) => Promise<bigint>
  /** Runs an action while no commit is under way and none begins; see `CommitWriter.exclusively`. Usable once the store is open. */
  readonly exclusively: <T>(action: () => Promise<T>) => Promise<T>
  /** Aborted when the store is closed. */
  readonly signal: AbortSignal
}

/**
 * The port by which others take part in a commit (read models, memos). For each request in order `stage` computes, purely and once,
 * what the events change, against committed state + the overlay of this batch; then `statements` go into the same transaction as the
 * events; then exactly one of `committed` and `dropped` follows. All but `open` are synchronous: nothing can come between.
 */
export interface CommitParticipant {
  readonly name: string
  /** What goes into the fence commit, which follows `before`: the participant itself is opened only after it. */
  fence(before: LogHead): readonly CommitStatement[]
  open(context: ParticipantContext): Promise<void>
  /** Takes one request into the overlay, or throws and leaves the overlay as it was. Returns what takes it out again. */
  stage(request: StagedRequest): () => void
  statements(): readonly CommitStatement[]
  committed(): void
  dropped(): void
}
