import type { ExpectedRevision } from './recorded-event.ts'

/** The stream's last revision is not the expected one; nothing was appended. `current` is null where the stream does not exist. */
export class WrongExpectedRevisionError extends Error {
  override readonly name = 'WrongExpectedRevisionError'
  readonly stream: string
  readonly expected: ExpectedRevision
  readonly current: bigint | null

  constructor(stream: string, expected: ExpectedRevision, current: bigint | null) {
    const state = current === null ? 'it does not exist' : `its last revision is ${current}`
    super(`Cannot append to stream "${stream}": ${state}, expected was ${describe(expected)}`)
    this.stream = stream
    this.expected = expected
    this.current = current
  }
}

/** The append itself is not acceptable (too big, malformed name, id or text); nothing was appended, a retry would fail again. */
export class InvalidAppendError extends Error {
  override readonly name = 'InvalidAppendError'
}

/**
 * The time in the request's id lies outside the window in which requests are remembered: whether it was recorded cannot be told, nothing
 * was appended.
 */
export class RequestWindowError extends Error {
  override readonly name = 'RequestWindowError'
  readonly requestId: string

  constructor(requestId: string, why: string) {
    super(`Cannot append: request "${requestId}" ${why}`)
    this.requestId = requestId
  }
}

/** The request's id stands for other events already, which are in the log since `position`; nothing was appended. */
export class RequestMismatchError extends Error {
  override readonly name = 'RequestMismatchError'
  readonly requestId: string
  readonly position: bigint

  constructor(requestId: string, position: bigint) {
    super(
      `Cannot append: request "${requestId}" was recorded at position ${position} with other events, it must have the same streams and event ids`,
    )
    this.requestId = requestId
    this.position = position
  }
}

/** The writer's queue is full; nothing was appended, try later. */
export class LogBusyError extends Error {
  override readonly name = 'LogBusyError'
}

/** The log cannot be written since `sinceUs` (PostgreSQL down, disk full); nothing was appended. */
export class LogUnavailableError extends Error {
  override readonly name = 'LogUnavailableError'
  readonly sinceUs: bigint

  constructor(sinceUs: bigint, reason: string, options?: ErrorOptions) {
    const since = new Date(Number(sinceUs / 1000n)).toISOString()
    super(`Cannot append: the log is unavailable since ${since} (${reason})`, options)
    this.sinceUs = sinceUs
  }
}

/** The connection broke while COMMIT was under way and the outcome is not known yet: the events are in the log once or not at all. */
export class CommitInDoubtError extends Error {
  override readonly name = 'CommitInDoubtError'
  readonly commitNo: bigint

  constructor(commitNo: bigint, waitedMs: number) {
    super(
      `Cannot say whether commit ${commitNo} was recorded: the connection broke during it and no answer came within ${waitedMs} ms`,
    )
    this.commitNo = commitNo
  }
}

/** This process is not the log's writer any more; the store refuses everything from here on and its owner must stop acting. */
export class FencedError extends Error {
  override readonly name = 'FencedError'
}

/** Another process holds the log; the text names its pid, start time and host. */
export class WriterBusyError extends Error {
  override readonly name = 'WriterBusyError'
}

/** The store was closed. */
export class LogClosedError extends Error {
  override readonly name = 'LogClosedError'

  constructor() {
    super('Cannot append: the event store is closed')
  }
}

/** What the log holds contradicts itself or what this program wrote: it must not be opened or read on. */
export class LogCorruptError extends Error {
  override readonly name = 'LogCorruptError'
}

/** The database was made by a newer program than this one. */
export class SchemaTooNewError extends Error {
  override readonly name = 'SchemaTooNewError'
}

function describe(expected: ExpectedRevision): string {
  switch (expected) {
    case 'any':
      return 'any revision'
    case 'no_stream':
      return 'no stream'
    case 'stream_exists':
      return 'an existing stream'
    default:
      return `revision ${expected}`
  }
}
