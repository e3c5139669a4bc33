import { encodeData, newFact } from '../events/catalogue.ts'
import { othersRefusalStream, refusalStream } from '../events/stream-names.ts'
import { CommitInDoubtError } from '../eventstore/append-errors.ts'
import type { Fault, FaultKind } from '../util/fault.ts'
import { systemTimers, type Timer, type Timers } from '../util/timers.ts'
import { clipped } from './clipped.ts'
import { daemonContext } from './daemon-caller.ts'
import type { Host } from './host.ts'
import { type Context, record } from './record.ts'
import { allowancesOfAll, allowancesOfOne, RefusalBudget } from './refusal-budget.ts'
import { RefusalCounts } from './refusal-counts.ts'

/** Users that are told apart; the refusals of any more are counted together. */
const maxActors = 256
/** Lengths of the windows of a flood, which become longer while it lasts. */
const windowsMs = [1_000, 10_000, 60_000] as const
/** With many floods at once the windows are longer still: all floods together cost about one event in this time. */
const perFloodMs = 1_000
const maxMessageLength = 4_096
const maxSubjectLength = 1_024
const unitBytes = 1_024
/** Faults of the conversation, of this program or of the log: nothing was understood and refused. */
const notRefusals: ReadonlySet<FaultKind> = new Set(['rpc', 'internal', 'log_unavailable', 'no_support'])

interface Actor {
  readonly uid: number | null
  readonly budget: RefusalBudget
  /** The open window; null while no flood is on. */
  counts: RefusalCounts | null
  timer: Timer | null
  window: number
  windowMs: number
  closedAtMs: number
}

type Parts = Pick<Host, 'log' | 'hostId' | 'clock' | 'notes' | 'shares'>

/**
 * Records commands that were understood and refused, so that nobody can fill the disk by asking for the impossible. Each
 * refusal is one `CommandRefused` while its user's budget lasts; what comes beyond it is counted, and each window of a
 * flood ends with one `RefusalsCounted`. None is lost while the daemon lives: what the log cannot take is counted on. A
 * crash loses the counts of the windows that were open, at most the last minute of a flood.
 */
export class Refusals {
  readonly #host: Parts
  readonly #timers: Timers
  readonly #actors = new Map<number, Actor>()
  readonly #others: Actor
  readonly #all: RefusalBudget
  readonly #noted = new WeakSet<Fault>()
  readonly #closing = new Set<Promise<void>>()
  #floods = 0
  #sweptAtMs = Number.NEGATIVE_INFINITY

  constructor(host: Parts, timers: Timers = systemTimers) {
    this.#host = host
    this.#timers = timers
    const nowMs = host.clock.monotonicMs()
    this.#others = newActor(null, nowMs)
    this.#all = new RefusalBudget(allowancesOfAll, nowMs)
  }

  /**
   * Notes a refusal, once however many layers it passes. A returned promise resolves when it is recorded; nothing is
   * returned when it was counted. A log that is away changes nothing for the caller.
   */
  note(context: Context, fault: Fault, subject: string | null): Promise<void> | undefined {
    if (this.#noted.has(fault) || notRefusals.has(fault.kind)) return undefined
    this.#noted.add(fault)
    const nowMs = this.#host.clock.monotonicMs()
    const actor = this.#actorOf(context.caller.actor.uid, nowMs)
    if (actor.uid !== null && actor.budget.hasAny(nowMs) && this.#all.hasAny(nowMs)) {
      return this.#record(actor, { context, fault, subject })
    }
    this.#count(actor, context, fault)
    return undefined
  }

  /** Says that a fault is the outcome of what was begun, and recorded as such: whoever meets it later must not note it. */
  settle(fault: Fault): void {
    this.#noted.add(fault)
  }

  /** Ends all windows and records what was counted; for the orderly end. */
  async flush(): Promise<void> {
    for (const actor of [...this.#actors.values(), this.#others]) this.#close(actor)
    await Promise.all(this.#closing)
  }

  #actorOf(uid: number, nowMs: number): Actor {
    const known = this.#actors.get(uid)
    if (known !== undefined) return known
    if (this.#actors.size >= maxActors) this.#forgetIdle(nowMs)
    if (this.#actors.size >= maxActors) return this.#others
    const actor = newActor(uid, nowMs)
    this.#actors.set(uid, actor)
    return actor
  }

  /** Forgets users of whom nothing is left to know; at most once a second, since each call may come here. */
  #forgetIdle(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < 1_000) return
    this.#sweptAtMs = nowMs
    for (const [uid, { counts, budget }] of this.#actors) {
      if (counts === null && budget.isFull(nowMs)) this.#actors.delete(uid)
    }
  }

  async #record(
    actor: Actor,
    refusal: { readonly context: Context; readonly fault: Fault; readonly subject: string | null },
  ): Promise<void> {
    const { context, fault, subject } = refusal
    const { procedure, actor: who, reason } = context.caller
    const fact = newFact('CommandRefused', {
      procedure,
      rule: fault.kind,
      message: clipped(fault.message, maxMessageLength),
      subject: subject === null ? null : clipped(subject, maxSubjectLength),
      count: 1,
    })
    const bytes = Buffer.byteLength(encodeData(fact.data)) + who.program.length + (reason?.length ?? 0)
    actor.budget.spend(Math.ceil(bytes / unitBytes))
    this.#all.spend(Math.ceil(bytes / unitBytes))
    try {
      await record(this.#host, context, {
        kind: 'fact',
        decide: () => [{ stream: refusalStream(who.uid), facts: [fact] }],
      })
    } catch (error) {
      this.#host.notes.warn({ err: error, procedure }, 'A refusal could not be recorded')
      if (!isInDoubt(error)) this.#count(actor, context, fault)
    }
  }

  #count(actor: Actor, context: Context, fault: Fault): void {
    const atUs = this.#host.clock.nowUs()
    const { procedure, actor: who } = context.caller
    const counts = this.#openWindow(actor, atUs)
    counts.add({ program: who.program, procedure, rule: fault.kind, message: fault.message, atUs })
  }

  #openWindow(actor: Actor, sinceUs: bigint): RefusalCounts {
    if (actor.counts !== null) return actor.counts
    const lasts = this.#host.clock.monotonicMs() - actor.closedAtMs <= actor.windowMs
    actor.window = lasts ? Math.min(actor.window + 1, windowsMs.length - 1) : 0
    this.#floods++
    actor.windowMs = Math.max(windowsMs[actor.window] ?? 0, this.#floods * perFloodMs)
    actor.counts = new RefusalCounts(sinceUs)
    actor.timer = this.#timers.after(actor.windowMs, () => this.#close(actor))
    return actor.counts
  }

  #close(actor: Actor): void {
    const { counts } = actor
    if (counts === null) return
    actor.timer?.cancel()
    actor.timer = null
    actor.counts = null
    actor.closedAtMs = this.#host.clock.monotonicMs()
    this.#floods--
    const closing = this.#recordCounts(actor, counts).finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }

  async #recordCounts(actor: Actor, counts: RefusalCounts): Promise<void> {
    const fact = newFact('RefusalsCounted', counts.data(actor.uid))
    const stream = actor.uid === null ? othersRefusalStream : refusalStream(actor.uid)
    try {
      await record(this.#host, daemonContext('REFUSALS'), {
        kind: 'fact',
        decide: () => [{ stream, facts: [fact] }],
      })
    } catch (error) {
      this.#host.notes.warn({ err: error, count: fact.data.count }, 'Counted refusals could not be recorded')
      if (!isInDoubt(error)) this.#openWindow(actor, fact.data.sinceUs).addEarlier(fact.data)
    }
  }
}

function newActor(uid: number | null, nowMs: number): Actor {
  return {
    uid,
    budget: new RefusalBudget(allowancesOfOne, nowMs),
    counts: null,
    timer: null,
    window: 0,
    windowMs: 0,
    closedAtMs: Number.NEGATIVE_INFINITY,
  }
}

/** Whether the log may have taken it all the same: counting it again could count it twice. */
function isInDoubt(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof CommitInDoubtError
}
