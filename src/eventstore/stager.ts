import { InvalidAppendError, LogUnavailableError, WrongExpectedRevisionError } from './append-errors.ts'
import { type CheckedAppend, checkAppend } from './append-request.ts'
import type { Batch } from './batch.ts'
import { BatchTurn, type Missing } from './batch-turn.ts'
import type { CommitParticipant } from './commit-participant.ts'
import { findRetried } from './earlier-append.ts'
import type { AppendResult, EventStoreLimits, AppendKind, LogAlarm } from './event-store-options.ts'
import type { LogReads } from './log-reads.ts'
import { messageOf } from './postgres-failure.ts'
import type { RecordedEvent } from './recorded-event.ts'
import { type RequestBook, type RequestRow, sameRequest } from './request-book.ts'
import type { StateMemos } from './state-memos.ts'
import { withTimeLimit } from './time-limit.ts'
import type { Decide } from './turn.ts'

/** An append on its way: what to append or how to decide it, and who waits for the answer. */
export interface AppendRequest {
  readonly what: CheckedAppend | Decide
  readonly kind: AppendKind
  /** The caller's name for it, where it may be repeated by that. */
  readonly requestId: string | null
  /** When it was asked for, by the monotonic clock. */
  readonly atMs: number
  readonly resolve: (result: AppendResult) => void
  readonly reject: (error: unknown) => void
  /** Set once a batch with this request was refused for its content: from then on it goes alone. */
  alone: boolean
  /** Set once this request alone was refused for the changes its events make; a fact goes without them. */
  poison: Error | null
}

/** A request that is part of the batch: its new events, or those of an earlier append of which it is the retry. */
export interface StagedAppend {
  readonly request: AppendRequest
  readonly events: readonly RecordedEvent[]
}

/** What became of a request: it is staged, the batch has no room for it, or something has to be read first. */
export type Staging =
  | { readonly kind: 'staged'; readonly append: StagedAppend }
  | { readonly kind: 'full' }
  | { readonly kind: 'reading'; readonly read: () => Promise<Staging> }

/** What staging needs around it. */
export interface StagerParts {
  readonly participants: readonly CommitParticipant[]
  readonly memos: StateMemos
  readonly reads: LogReads
  readonly requests: RequestBook
  readonly limits: EventStoreLimits
  readonly nowUs: () => bigint
  readonly alarm: (alarm: LogAlarm) => void
}

// A decision that keeps asking for other streams is broken; each round loads at least one.
const maxDecideRounds = 1_000

/** Takes requests into a batch, one after the other, each against what is committed and what the batch holds already. */
export class Stager {
  readonly #parts: StagerParts

  constructor(parts: StagerParts) {
    this.#parts = parts
  }

  /** What has to be read for requests that wait, in one go; null where nothing is. Who needs what could not be read asks again, and hears why. */
  prepare(batch: Batch, requests: readonly AppendRequest[]): Promise<void> | null {
    const unknown: CheckedAppend[] = []
    for (const { what } of requests) if (typeof what !== 'function' && !batch.knows(what)) unknown.push(what)
    if (unknown.length === 0) return null
    return this.#load(() => batch.loadNames(unknown)).catch(() => undefined)
  }

  /**
   * Stages a request, without waiting where all it needs is in memory. Whatever it throws, or what is read rejects with, refuses this
   * request only and leaves the batch as it was.
   */
  stage(batch: Batch, request: AppendRequest): Staging {
    const { requestId } = request
    if (requestId === null) return this.#stageNew(batch, request)
    const staged = batch.requests.get(requestId)
    if (staged !== undefined) return repeated(request, staged)
    const row = this.#parts.requests.find(requestId)
    if (row === null) return this.#stageNew(batch, request)
    return {
      kind: 'reading',
      read: async () => {
        const found = row ?? (await this.#load(() => this.#parts.requests.load(requestId)))
        return found === null ? this.#stageNew(batch, request) : this.#readRequest(request, found)
      },
    }
  }

  async #readRequest(request: AppendRequest, { firstPosition, lastPosition }: RequestRow): Promise<Staging> {
    const maxCount = Number(lastPosition - firstPosition + 1n)
    const { reads } = this.#parts
    return repeated(request, await this.#load(() => Array.fromAsync(reads.readAll({ from: firstPosition, maxCount }))))
  }

  #stageNew(batch: Batch, request: AppendRequest): Staging {
    const { what } = request
    return typeof what === 'function'
      ? this.#decide(batch, { request, decide: what, round: 0 })
      : this.#place(batch, { request, append: what })
  }

  #decide(batch: Batch, decision: Decision): Staging {
    const { request, decide, round } = decision
    const turn = new BatchTurn(batch)
    let outcome: ReturnType<Decide> | null = null
    try {
      outcome = decide(turn)
    } catch (error) {
      if (turn.missing.length === 0) throw error
    }
    if (outcome !== null && turn.missing.length === 0) {
      return this.#place(batch, { request, append: checkAppend(outcome, this.#parts.limits, request.requestId) })
    }
    if (round >= maxDecideRounds) {
      throw new InvalidAppendError(`Cannot append: the decision asked for more than ${maxDecideRounds} streams`)
    }
    return {
      kind: 'reading',
      read: async () => {
        await this.#load(() => this.#fetch(batch, turn.missing))
        return this.#decide(batch, { request, decide, round: round + 1 })
      },
    }
  }

  #place(batch: Batch, placing: Placing): Staging {
    const { request, append } = placing
    if (!batch.knows(append)) {
      return {
        kind: 'reading',
        read: async () => {
          await this.#load(() => batch.loadNames([append]))
          return this.#place(batch, placing)
        },
      }
    }
    if (!this.#hasRoom(batch, append)) return { kind: 'full' }
    let events: readonly RecordedEvent[]
    try {
      events = batch.number(append)
    } catch (error) {
      if (!(error instanceof WrongExpectedRevisionError)) throw error
      return { kind: 'reading', read: () => this.#stageRetry(batch, placing, error) }
    }
    this.#offer(request, events)
    batch.take(events, append)
    return { kind: 'staged', append: { request, events } }
  }

  async #stageRetry(batch: Batch, { request, append }: Placing, error: Error): Promise<Staging> {
    const events = await this.#load(() => findRetried(append, { batch, reads: this.#parts.reads }))
    if (events === null) throw error
    return { kind: 'staged', append: { request, events } }
  }

  #hasRoom(batch: Batch, append: CheckedAppend): boolean {
    if (batch.events.length === 0) return true
    const { batchEvents, batchBytes } = this.#parts.limits
    return (
      batch.events.length + append.eventCount <= batchEvents &&
      batch.bytes + append.bytes + append.blobBytes <= batchBytes
    )
  }

  async #fetch(batch: Batch, missing: readonly Missing[]): Promise<void> {
    for (const wanted of missing) {
      if (wanted.kind === 'revision') {
        await batch.loadHeads([wanted.stream])
      } else {
        const memo = await this.#parts.memos.load(wanted.fold, wanted.stream)
        batch.setState(wanted.stream, { fold: wanted.fold, memo })
      }
    }
  }

  #offer({ kind, poison }: AppendRequest, events: readonly RecordedEvent[]): void {
    if (events.length === 0 || this.#parts.participants.length === 0) return
    const undos: (() => void)[] = []
    const staged = poison === null ? { kind, events } : { kind, events, poison }
    for (const participant of this.#parts.participants) {
      try {
        undos.push(participant.stage(staged))
      } catch (error) {
        if (kind === 'intent') {
          for (const undo of undos.toReversed()) undo()
          throw error
        }
        const text = `"${participant.name}" could not take in the facts from position ${events[0]?.position} on: ${messageOf(error)}`
        this.#parts.alarm({
          kind: 'quarantined',
          text,
          error: error instanceof Error ? error : new Error(messageOf(error)),
        })
      }
    }
  }

  async #load<T>(action: () => Promise<T>): Promise<T> {
    try {
      const ms = this.#parts.limits.commitTimeoutMs
      return await withTimeLimit(action(), { ms, what: 'reading what the append needs' })
    } catch (error) {
      throw new LogUnavailableError(this.#parts.nowUs(), messageOf(error), { cause: error })
    }
  }
}

interface Decision {
  readonly request: AppendRequest
  readonly decide: Decide
  readonly round: number
}

interface Placing {
  readonly request: AppendRequest
  readonly append: CheckedAppend
}

function repeated(request: AppendRequest, events: readonly RecordedEvent[]): Staging {
  if (typeof request.what !== 'function') sameRequest(request.what, events)
  return { kind: 'staged', append: { request, events } }
}
