import { CommitInDoubtError, FencedError, LogUnavailableError } from './append-errors.ts'
import type { EventStoreLimits, LogAlarm } from './event-store-options.ts'
import { readHead } from './log-genesis.ts'
import { messageOf, postgresFailure } from './postgres-failure.ts'
import type { LogHead } from './recorded-event.ts'
import type { StatementParts } from './send-statements.ts'
import { withTimeLimit } from './time-limit.ts'
import type { WriterSession } from './writer-session.ts'

/** What became of a commit. `unknown`: the callers were told so; it has been settled since and is not in the log. */
export type Outcome =
  | { readonly kind: 'committed' }
  | { readonly kind: 'refused' | 'poison' | 'conflict' | 'unknown'; readonly error: Error }

/** A commit to be sent: what the head is before it and after it, and who hears that its outcome takes too long to find out. */
export interface Sending {
  /** Sent again they are the very same. */
  readonly parts: StatementParts
  readonly before: LogHead
  /** The head after it; asked for where it is in doubt. */
  readonly after: () => LogHead
  /** Hears at once that the log is away. */
  readonly left: (error: LogUnavailableError) => void
  readonly giveUp: (error: CommitInDoubtError) => void
}

/** What the sender works with. */
export interface CommitSenderParts {
  readonly session: WriterSession
  readonly limits: EventStoreLimits
  readonly nowUs: () => bigint
  readonly alarm: (alarm: LogAlarm) => void
  /** Ends every wait. */
  readonly signal: AbortSignal
}

/**
 * Sends commits and finds out what became of them. After a broken connection the writer's lock is taken back first: once it is held,
 * nothing of an earlier connection is in flight any more, so the last commit in the log tells the outcome for certain.
 */
export class CommitSender {
  readonly #parts: CommitSenderParts
  #away: { readonly sinceUs: bigint; readonly reason: string } | null = null

  constructor(parts: CommitSenderParts) {
    this.#parts = parts
  }

  /** Why nothing can be appended now; null while the log is there. */
  get unavailable(): LogUnavailableError | null {
    return this.#away === null ? null : new LogUnavailableError(this.#away.sinceUs, this.#away.reason)
  }

  get isConnected(): boolean {
    return this.#parts.session.isConnected
  }

  /** Sends a commit, and sends it again where it is certain that it did not arrive. */
  async send(sending: Sending): Promise<Outcome> {
    const outcome = await this.#try(sending.parts)
    return outcome.kind === 'lost' ? this.#settle(sending, outcome.error) : outcome
  }

  /** Takes the log back after the idle connection broke. Throws {@link FencedError} where it is not ours any more. */
  async recover(head: LogHead, reason: Error): Promise<void> {
    this.#leave(reason)
    const found = await this.#reopen()
    if (!sameCommit(found, head)) throw notOurs(found, head)
    this.#return()
  }

  async #try(parts: StatementParts): Promise<Outcome | { readonly kind: 'lost'; readonly error: Error }> {
    try {
      await this.#parts.session.commit(parts, { timeoutMs: this.#parts.limits.commitTimeoutMs })
      return { kind: 'committed' }
    } catch (error) {
      return { kind: postgresFailure(error), error: error instanceof Error ? error : new Error(messageOf(error)) }
    }
  }

  async #settle(sending: Sending, reason: Error): Promise<Outcome> {
    const { inDoubtWaitMs } = this.#parts.limits
    const after = sending.after()
    const doubt = new CommitInDoubtError(after.commitNo, inDoubtWaitMs)
    let answered = false
    const giveUp = () => {
      answered = true
      sending.giveUp(doubt)
    }
    const timer = setTimeout(giveUp, inDoubtWaitMs)
    sending.left(this.#leave(reason))
    try {
      for (;;) {
        const head = await this.#reopen()
        if (sameCommit(head, after)) return this.#back({ kind: 'committed' })
        if (!sameCommit(head, sending.before))
          return this.#back({ kind: 'conflict', error: notOurs(head, sending.before) })
        if (answered) return this.#back({ kind: 'unknown', error: doubt })
        const outcome = await this.#try(sending.parts)
        if (outcome.kind !== 'lost') return this.#back(outcome)
      }
    } catch (error) {
      giveUp()
      if (error instanceof FencedError) return { kind: 'conflict', error }
      return { kind: 'unknown', error: error instanceof Error ? error : doubt }
    } finally {
      clearTimeout(timer)
    }
  }

  /** Connects and locks until the last commit can be read. Throws {@link FencedError} where it is not ours, or there is no log any more. */
  async #reopen(): Promise<LogHead> {
    for (;;) {
      await this.#parts.session.reopen(this.#parts.signal)
      try {
        const ms = this.#parts.limits.commitTimeoutMs
        return await withTimeLimit(readHead(this.#parts.session.client), { ms, what: 'reading the last commit' })
      } catch (error) {
        if (postgresFailure(error) !== 'poison') continue
        const text = `Cannot append: the log that this process wrote cannot be read any more (${messageOf(error)})`
        throw new FencedError(text, { cause: error })
      }
    }
  }

  #leave(reason: Error): LogUnavailableError {
    this.#parts.session.drop()
    this.#away = { sinceUs: this.#parts.nowUs(), reason: messageOf(reason) }
    this.#parts.alarm({ kind: 'unavailable', text: `The log is unavailable: ${messageOf(reason)}`, error: reason })
    return new LogUnavailableError(this.#away.sinceUs, this.#away.reason)
  }

  #return(): void {
    if (this.#away === null) return
    this.#away = null
    this.#parts.alarm({ kind: 'available', text: 'The log is available again' })
  }

  #back(outcome: Outcome): Outcome {
    this.#return()
    return outcome
  }
}

function sameCommit(a: LogHead, b: LogHead): boolean {
  return a.commitNo === b.commitNo && Buffer.from(a.root).equals(b.root)
}

function notOurs(found: LogHead, expected: LogHead): FencedError {
  return new FencedError(
    `Cannot append: the log's last commit is ${found.commitNo}, not the commit ${expected.commitNo} that this process wrote`,
  )
}
