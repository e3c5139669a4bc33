import { setTimeout as sleep } from 'node:timers/promises'
import { countingWrite, type Plan, type PlanContext, planKinds } from './client-plans.ts'
import type { Capabilities } from './capabilities.ts'
import { digestOf, parseEventData } from './event-data.ts'
import type { AskedWrite, Operation, Told } from './history.ts'
import type { Recorder } from './recorder.ts'
import { SeededRandom } from './seeded-random.ts'
import type { FramedWrite, WriterAnswer, WriterRequest } from './writer-frames.ts'
import { WriterLink } from './writer-link.ts'

const lastingReasons = ['InvalidAppendError', 'RequestMismatchError']

/** What a client works with. */
export interface ClientParts {
  readonly number: number
  readonly seed: number
  readonly capabilities: Capabilities
  readonly recorder: Recorder
  /** The socket of the process that writes now; null while there is none. */
  readonly writerPath: () => string | null
  /** Longest pause between two operations. */
  readonly thinkMs: number
}

const answerLimitMs = 4_000
const retryPauseMs = 20
/** While the log is away, refusals come at once and say little. */
const awayPauseMs = 150

/** One client in a closed loop: plans an operation, asks, tries again where that is safe, writes down what it was told. */
export class ChaosClient {
  readonly #parts: ClientParts
  readonly #random: SeededRandom
  readonly #own = new Map<string, bigint>()
  /** Streams of its own of which it does not know the last revision. */
  readonly #doubtful = new Set<string>()
  #link: WriterLink | null = null
  #linkPath: string | null = null
  #operation = 0
  #event = 0

  constructor(parts: ClientParts) {
    this.#parts = parts
    this.#random = new SeededRandom(parts.seed, `client ${parts.number}`)
  }

  /** Works until `stop`; what is in doubt then is tried again until `end`. */
  async run({ stop, end }: { readonly stop: AbortSignal; readonly end: AbortSignal }): Promise<void> {
    while (!stop.aborted) {
      await sleep(this.#random.next() * this.#parts.thinkMs)
      if (this.#parts.writerPath() === null) continue
      const { capabilities } = this.#parts
      const { name, make } = this.#random.weighted(
        planKinds.filter(({ needs }) => needs === undefined || capabilities[needs]),
      )
      this.#operation += 1
      this.#event = 0
      const plan = make(this.#context())
      if (plan !== null) await this.#perform(name, plan, end)
    }
    this.#link?.close()
  }

  #context(): PlanContext {
    const { number, capabilities } = this.#parts
    return {
      client: number,
      random: this.#random,
      capabilities,
      own: this.#own,
      nextKey: () => `${this.#id()}.${this.#event++}`,
      nowMs: Date.now,
    }
  }

  #id(): string {
    return `c${this.#parts.number}.${this.#operation}`
  }

  async #perform(name: string, plan: Plan, end: AbortSignal): Promise<void> {
    switch (plan.kind) {
      case 'append':
        return this.#append(name, plan, end)
      case 'count': {
        const event = { eventId: this.#random.uuid(), type: 'ChaosCounted', key: `${this.#id()}.0` }
        const { stream, requestId } = plan
        const asked = {
          stream,
          expected: 'any' as const,
          events: [{ eventId: event.eventId, key: event.key, digest: null }],
        }
        const make = (id: number): WriterRequest => ({ kind: 'count', id, stream, event, requestId })
        return this.#record({ name, asked: [asked], make, retry: requestId !== null, end })
      }
      case 'read-and-count': {
        const seen = await this.#look(plan.stream)
        if (seen === null) return
        const writes = [countingWrite(this.#context(), { stream: plan.stream, ...seen })]
        return this.#append(name, { kind: 'append', writes, retry: true, requestId: null }, end)
      }
      case 'look':
        await this.#look(plan.stream)
        return
      case 'moment': {
        const answer = await this.#ask((id) => ({ kind: 'moment', id, agoUs: plan.agoUs }))
        if (answer.kind === 'moment') this.#parts.recorder.moments.push(answer)
        return
      }
    }
  }

  async #look(stream: string): Promise<{ readonly revision: bigint | null; readonly value: number | null } | null> {
    const { recorder } = this.#parts
    const startTick = recorder.tick()
    const answer = await this.#ask((id) => ({ kind: 'last', id, stream }))
    recorder.tick()
    if (answer.kind !== 'last') return null
    recorder.revisions.push({ stream, revision: answer.revision, startTick })
    return answer
  }

  async #append(name: string, plan: Extract<Plan, { kind: 'append' }>, end: AbortSignal): Promise<void> {
    for (const { stream } of plan.writes) if (this.#doubtful.has(stream)) await this.#settleOwn(stream)
    if (plan.writes.some(({ stream }) => this.#doubtful.has(stream))) return
    const { requestId } = plan
    const make = (id: number): WriterRequest => ({
      kind: 'append',
      id,
      writes: plan.writes.map((write) => ({ ...write, events: [...write.events], blobs: [...write.blobs] })),
      requestId,
    })
    const retry = plan.retry && this.#parts.capabilities.idempotentRetry
    await this.#record({ name, asked: plan.writes.map(askedWrite), make, retry, end })
  }

  async #settleOwn(stream: string): Promise<void> {
    const seen = await this.#look(stream)
    if (seen === null) return
    this.#doubtful.delete(stream)
    if (seen.revision === null) this.#own.delete(stream)
    else this.#own.set(stream, seen.revision)
  }

  async #record({ name, asked, make, retry, end }: Attempt): Promise<void> {
    const { recorder } = this.#parts
    const startTick = recorder.tick()
    let told: Told | null = null
    let tries = 0
    while (told === null) {
      tries += 1
      const answer = await this.#ask(make)
      told = toldBy(answer, { tries, mayTryAgain: retry && !end.aborted })
      if (told === null) await sleep(retryPauseMs)
    }
    const operation = { id: this.#id(), kind: name, writes: asked, startTick, endTick: recorder.tick(), tries, told }
    recorder.add(operation)
    this.#learn(operation)
    if (told.kind === 'refused' && told.reason === 'LogUnavailableError') await sleep(awayPauseMs)
  }

  #learn({ told, writes }: Operation): void {
    const prefix = `own${this.#parts.number}-`
    for (const { stream } of writes) {
      if (!stream.startsWith(prefix)) continue
      if (told.kind === 'acknowledged') {
        for (const place of told.places) if (place.stream === stream) this.#own.set(stream, place.revision)
      } else if (told.kind === 'unknown') this.#doubtful.add(stream)
    }
  }

  async #ask(make: (id: number) => WriterRequest): Promise<WriterAnswer> {
    const path = this.#parts.writerPath()
    if (path === null || path !== this.#linkPath || this.#link?.isOpen !== true) {
      this.#link?.close()
      this.#link = null
      if (path !== null) this.#link = await WriterLink.open(path).catch(() => null)
      this.#linkPath = path
    }
    if (this.#link === null) {
      await sleep(retryPauseMs)
      return { kind: 'refused', id: 0, reason: 'there is no writer', wrongRevision: null }
    }
    return this.#link.ask(make, { limitMs: answerLimitMs })
  }
}

interface Attempt {
  readonly name: string
  readonly asked: readonly AskedWrite[]
  readonly make: (id: number) => WriterRequest
  /** Whether the store takes the very same request only once. */
  readonly retry: boolean
  readonly end: AbortSignal
}

/** What an answer settles; null: to be tried again. */
function toldBy(
  answer: WriterAnswer,
  { tries, mayTryAgain }: { readonly tries: number; readonly mayTryAgain: boolean },
): Told | null {
  switch (answer.kind) {
    case 'acknowledged':
      return answer
    case 'refused': {
      // A refusal for what the log or the append is holds for the tries before it too; one for the state of the writer does not.
      if (tries === 1 || answer.wrongRevision !== null || lastingReasons.includes(answer.reason)) return answer
      const isTooLate = answer.reason === 'RequestWindowError'
      return mayTryAgain && !isTooLate ? null : { kind: 'unknown', reason: answer.reason }
    }
    case 'unknown':
      return mayTryAgain ? null : answer
    case 'last':
    case 'moment':
    case 'done':
      throw new Error(`Cannot take "${answer.kind}" for the answer to an append`)
  }
}

function askedWrite({ stream, expected, events }: FramedWrite): AskedWrite {
  return {
    stream,
    expected,
    events: events.map(({ eventId, data }) => ({
      eventId,
      key: parseEventData(data)?.key ?? '',
      digest: digestOf(data),
    })),
  }
}
