import { isDeepStrictEqual } from 'node:util'
import type { AppendOptions, AppendResult, BlobReader } from '../../src/eventstore/event-store-options.ts'
import { defaultLimits } from '../../src/eventstore/event-store-options.ts'
import { LogUnavailableError, WrongExpectedRevisionError } from '../../src/eventstore/append-errors.ts'
import { type CheckedAppend, checkAppend } from '../../src/eventstore/append-request.ts'
import type { ReadAllOptions, ReadStreamOptions } from '../../src/eventstore/log-reader.ts'
import { passesFilter } from '../../src/eventstore/log-filter.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import type { Delivery, SubscribeOptions, SubscribeStreamOptions } from '../../src/eventstore/subscription.ts'
import type { StreamFold } from '../../src/eventstore/stream-fold.ts'
import type { Decide, Turn } from '../../src/eventstore/turn.ts'
import type { Log } from '../../src/commands/host.ts'

/** What takes part in each commit, and may refuse an intent. */
export interface Taker {
  take(events: readonly RecordedEvent[]): void
}

interface Waiting {
  readonly decide: Decide
  readonly options: AppendOptions
  readonly resolve: (result: AppendResult) => void
  readonly reject: (error: Error) => void
}

/** An event log in memory with the rules of the real one: turns, expected revisions, limits, content-addressed texts. */
export class MemoryLog implements Log {
  readonly events: RecordedEvent[] = []
  readonly takers = new Set<Taker>()
  readonly blobs: BlobReader = { read: (sha256) => this.#read(sha256) }
  readonly #blobs = new Map<string, Uint8Array>()
  readonly #states = new Map<string, Map<string, { revision: bigint; state: unknown }>>()
  readonly #nowUs: () => bigint
  readonly #waiting: Waiting[] = []
  readonly #followers = new Set<() => void>()
  #refuse: (types: readonly string[]) => boolean = () => false
  #commitNo = 0n

  constructor(nowUs: () => bigint) {
    this.#nowUs = nowUs
  }

  /** The next appends of something fail as if PostgreSQL were down. Decisions to append nothing fail too. */
  failNext(count: number): void {
    this.#refuse = () => count-- > 0
  }

  /** Appends that hold such an event fail as if PostgreSQL were down, until `comeBack`. */
  failOn(type: string): void {
    this.#refuse = (types) => types.includes(type)
  }

  comeBack(): void {
    this.#refuse = () => false
  }

  types(stream?: string): readonly string[] {
    return this.events.filter((event) => stream === undefined || event.stream === stream).map((event) => event.type)
  }

  /** Waits for its turn: what is asked for in the same moment becomes one commit, and rows change after all of it. */
  async append(decide: Decide, options: AppendOptions = {}): Promise<AppendResult> {
    const { promise, resolve, reject } = Promise.withResolvers<AppendResult>()
    this.#waiting.push({ decide, options, resolve, reject })
    if (this.#waiting.length === 1) queueMicrotask(() => this.#commit())
    return await promise
  }

  #commit(): void {
    const first = this.events.length
    const answers: (() => void)[] = []
    for (const { decide, options, resolve, reject } of this.#waiting.splice(0)) {
      try {
        options.signal?.throwIfAborted()
        const events = this.#stage(decide)
        answers.push(() => resolve({ commitNo: this.#commitNo, lastPosition: BigInt(this.events.length) - 1n, events }))
      } catch (error) {
        answers.push(() => reject(error instanceof Error ? error : new Error(String(error))))
      }
    }
    const events = this.events.slice(first)
    if (events.length > 0) {
      this.#commitNo += 1n
      for (const taker of this.takers) taker.take(events)
      for (const wake of this.#followers) wake()
    }
    for (const answer of answers) answer()
  }

  #stage(decide: Decide): readonly RecordedEvent[] {
    const writes = decide(this.#turn())
    // The real log runs a decision again when it had to load something: it must come out the same.
    if (!isDeepStrictEqual(decide(this.#turn()), writes))
      throw new Error('A decision came out differently the second time')
    const append = checkAppend(writes, defaultLimits)
    if (this.#refuse(append.writes.flatMap((write) => write.events.map((event) => event.type)))) {
      throw new LogUnavailableError(this.#nowUs(), 'told to fail')
    }
    const events = this.#number(append)
    for (const { blobs } of append.writes) for (const blob of blobs) this.#blobs.set(blob.sha256, blob.bytes)
    this.events.push(...events)
    return events
  }

  async *readStream(stream: string, options: ReadStreamOptions = {}): AsyncGenerator<RecordedEvent> {
    const { direction = 'forwards', from = direction === 'forwards' ? 0n : BigInt(this.events.length) } = options
    const all = this.events.filter((event) => event.stream === stream)
    const wanted = direction === 'forwards' ? all.slice(Number(from)) : all.slice(0, Number(from) + 1).toReversed()
    for (const event of wanted.slice(0, options.maxCount)) yield await Promise.resolve(event)
  }

  async *readAll(options: ReadAllOptions = {}): AsyncGenerator<RecordedEvent> {
    const { direction = 'forwards', from = direction === 'forwards' ? 0n : BigInt(this.events.length) } = options
    const all = direction === 'forwards' ? this.events.slice(Number(from)) : this.events.slice(0, Number(from) + 1)
    const { sinceUs = 0n, filter } = options
    const wanted = all.filter((event) => event.recordedAtUs >= sinceUs && passesFilter(filter, event))
    if (direction === 'backwards') wanted.reverse()
    for (const event of wanted.slice(0, options.maxCount)) yield await Promise.resolve(event)
  }

  subscribe({ filter, ...options }: SubscribeOptions = {}): AsyncIterable<Delivery> {
    const next = options.from === 'end' ? this.events.length : Number(options.from ?? 0n)
    return this.#follow({ next, isWanted: (event) => passesFilter(filter, event), signal: options.signal })
  }

  subscribeStream(stream: string, options: SubscribeStreamOptions = {}): AsyncIterable<Delivery> {
    const first = options.from === 'end' ? (this.#revision(stream) ?? -1n) + 1n : (options.from ?? 0n)
    const isWanted = (event: RecordedEvent) => event.stream === stream && event.revision >= first
    return this.#follow({ next: 0, isWanted, signal: options.signal })
  }

  async *#follow(from: {
    readonly next: number
    readonly isWanted: (event: RecordedEvent) => boolean
    readonly signal: AbortSignal | undefined
  }): AsyncGenerator<Delivery> {
    let isLive = false
    for (let next = from.next; from.signal?.aborted !== true; ) {
      const event = this.events[next]
      if (event !== undefined) {
        next += 1
        if (from.isWanted(event)) yield { kind: 'event', event }
      } else if (isLive) {
        await this.#nextCommit(from.signal)
      } else {
        isLive = true
        yield { kind: 'caught-up', position: BigInt(this.events.length) - 1n }
      }
    }
  }

  async #nextCommit(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#followers.add(resolve)
    signal?.addEventListener('abort', () => resolve(), { once: true })
    await promise
    this.#followers.delete(resolve)
  }

  positionAt(timeUs: bigint): Promise<bigint> {
    return Promise.resolve(BigInt(this.events.filter((event) => event.recordedAtUs <= timeUs).length) - 1n)
  }

  #turn(): Turn {
    return {
      recordedAtUs: this.#stampUs(),
      nextPosition: BigInt(this.events.length),
      revision: (stream) => this.#revision(stream),
      state: (fold, stream) => this.#state(fold, stream),
    }
  }

  #state<State>(fold: StreamFold<State>, stream: string): State
  #state(fold: StreamFold<unknown>, stream: string): unknown {
    const ofFold = this.#states.get(fold.name) ?? new Map<string, { revision: bigint; state: unknown }>()
    this.#states.set(fold.name, ofFold)
    let memo = ofFold.get(stream) ?? { revision: -1n, state: fold.initial }
    for (const event of this.events) {
      if (event.stream !== stream || event.revision <= memo.revision) continue
      memo = { revision: event.revision, state: fold.evolve(memo.state, event) }
    }
    ofFold.set(stream, memo)
    return memo.state
  }

  #revision(stream: string): bigint | null {
    return this.events.findLast((event) => event.stream === stream)?.revision ?? null
  }

  #number(append: CheckedAppend): RecordedEvent[] {
    const revisions = new Map<string, bigint | null>()
    const stamped = { commitNo: this.#commitNo + 1n, epoch: 1, recordedAtUs: this.#stampUs() }
    const events: RecordedEvent[] = []
    for (const { stream, expectedRevision, events: own } of append.writes) {
      let revision = revisions.get(stream) ?? this.#revision(stream)
      if (expectedRevision !== 'any' && (revision ?? 'no_stream') !== expectedRevision) {
        throw new WrongExpectedRevisionError(stream, expectedRevision, revision)
      }
      for (const event of own) {
        revision = (revision ?? -1n) + 1n
        events.push({ ...event, stream, revision, position: BigInt(this.events.length + events.length), ...stamped })
      }
      revisions.set(stream, revision)
    }
    return events
  }

  /** Later than every stamp before it, as in the real log. */
  #stampUs(): bigint {
    const last = this.events.at(-1)?.recordedAtUs ?? 0n
    const now = this.#nowUs()
    return now > last ? now : last + 1n
  }

  #read(sha256: string): Promise<Uint8Array> {
    const bytes = this.#blobs.get(sha256)
    return bytes === undefined ? Promise.reject(new Error(`The log has no text ${sha256}`)) : Promise.resolve(bytes)
  }
}
