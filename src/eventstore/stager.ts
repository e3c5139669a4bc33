import { InvalidAppendError, LogUnavailableError, WrongExpectedRevisionError } from './append-errors.ts'
import { type CheckedAppend, type CheckedWrite, checkAppend } from './append-request.ts'
import type { Batch, Missing } from './batch.ts'
import type { AppendKind, CommitParticipant, LogAlarm } from './commit-participant.ts'
import type { AppendResult, EventStoreLimits } from './event-store-options.ts'
import type { LogReads } from './log-reads.ts'
import { messageOf } from './postgres-failure.ts'
import type { RecordedEvent } from './recorded-event.ts'
import type { StateMemos } from './state-memos.ts'
import { withTimeLimit } from './time-limit.ts'
import type { Decide } from './turn.ts'

/** An append on its way: what to append or how to decide it, and who waits for the answer. */
export interface AppendRequest {
  readonly what: CheckedAppend | Decide
  readonly kind: AppendKind
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

/** What staging needs around it. */
export interface StagerParts {
  readonly participants: readonly CommitParticipant[]
  readonly memos: StateMemos
  readonly reads: LogReads
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

  /** Reads the names of what waits in one go; who needs what could not be read asks again and hears why. */
  async prepare(batch: Batch, requests: readonly AppendRequest[]): Promise<void> {
    const known = requests.flatMap(({ what }) => (typeof what === 'function' ? [] : [what]))
    await this.#load(() => batch.loadNames(known)).catch(() => undefined)
  }

  /** Stages a request; null where the batch has no room for it. Whatever it throws refuses this request and leaves the batch as it was. */
  async stage(batch: Batch, request: AppendRequest): Promise<StagedAppend | null> {
    const append = await this.#decided(batch, request.what)
    await this.#load(() => batch.loadNames([append]))
    const { limits } = this.#parts
    const isFirst = batch.events.length === 0
    if (!isFirst && batch.events.length + append.eventCount > limits.batchEvents) return null
    if (!isFirst && batch.bytes + append.bytes + append.blobBytes > limits.batchBytes) return null
    try {
      const events = batch.number(append)
      this.#offer(request, events)
      batch.take(events, append)
      return { request, events }
    } catch (error) {
      if (!(error instanceof WrongExpectedRevisionError)) throw error
      const earlier = await this.#load(() => this.#findEarlier(batch, append))
      if (earlier === null) throw error
      return { request, events: earlier }
    }
  }

  async #decided(batch: Batch, what: CheckedAppend | Decide): Promise<CheckedAppend> {
    if (typeof what !== 'function') return what
    for (let round = 0; round < maxDecideRounds; round += 1) {
      const missing: Missing[] = []
      let outcome: ReturnType<Decide> | null = null
      try {
        outcome = what(batch.turn(missing))
      } catch (error) {
        if (missing.length === 0) throw error
      }
      if (outcome !== null && missing.length === 0) return checkAppend(outcome, this.#parts.limits)
      await this.#load(() => this.#fetch(batch, missing))
    }
    throw new InvalidAppendError(`Cannot append: the decision asked for more than ${maxDecideRounds} streams`)
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
    if (events.length === 0) return
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

  /** The events of an earlier append that this one repeats: the same ids at the revisions it asks for, all in one commit. */
  async #findEarlier(batch: Batch, append: CheckedAppend): Promise<readonly RecordedEvent[] | null> {
    const exact = append.writes.filter((write) => firstRevision(write) !== null && write.events.length > 0)
    let commitNo: bigint | null = null
    for (const write of exact) {
      const there = await this.#eventsAt(batch, write)
      const same =
        there.length === write.events.length && there.every((event, at) => event.eventId === write.events[at]?.eventId)
      if (!same) return null
      commitNo = there[0]?.commitNo ?? null
    }
    if (commitNo === null) return null
    const committed = commitNo === batch.commitNo ? batch.events : await this.#parts.reads.readCommit(commitNo)
    const byId = new Map(committed.map((event) => [event.eventId, event]))
    const earlier = append.writes.flatMap((write) =>
      write.events.map((event) => {
        const recorded = byId.get(event.eventId)
        return recorded?.stream === write.stream ? recorded : null
      }),
    )
    return earlier.every((event) => event !== null) ? earlier : null
  }

  async #eventsAt(batch: Batch, write: CheckedWrite): Promise<readonly RecordedEvent[]> {
    const from = firstRevision(write) ?? 0n
    const maxCount = write.events.length
    const staged = batch.staged(write.stream, from)
    if (staged[0]?.revision === from) return staged.slice(0, maxCount)
    return Array.fromAsync(this.#parts.reads.readStream(write.stream, { from, maxCount }))
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

function firstRevision({ expectedRevision }: CheckedWrite): bigint | null {
  if (expectedRevision === 'no_stream') return 0n
  return typeof expectedRevision === 'bigint' ? expectedRevision + 1n : null
}
