import { hash, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  CommitInDoubtError,
  FencedError,
  InvalidAppendError,
  LogBusyError,
  LogClosedError,
  LogUnavailableError,
  RequestMismatchError,
  RequestWindowError,
  WrongExpectedRevisionError,
} from '../../src/eventstore/append-errors.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { RecordedEvent, StreamWrite } from '../../src/eventstore/recorded-event.ts'
import type { StreamFold } from '../../src/eventstore/stream-fold.ts'
import type { Decide } from '../../src/eventstore/turn.ts'
import type { BrokenName } from './broken-builds.ts'
import { dataText, parseEventData } from './event-data.ts'
import type { ToldHead } from './history.ts'
import { type Appended, type CountRequest, RefusedError, type ServedStore } from './served-store.ts'
import type { StagedEvents } from './staged-events.ts'
import type { FramedWrite } from './writer-frames.ts'

/** What is wrapped, and how: `staged` hears of events before they are committed. */
export interface OwnStoreParts {
  readonly store: EventStore
  readonly nowUs: () => bigint
  readonly setClock: (offsetUs: bigint) => void
  readonly broken: BrokenName | null
  readonly staged: StagedEvents
}

const refusals = [
  ...[LogUnavailableError, LogBusyError, LogClosedError, FencedError],
  ...[InvalidAppendError, RequestMismatchError, RequestWindowError],
]

const counter: StreamFold<number> = {
  name: 'chaos-counter',
  initial: 0,
  evolve: (_state, event) => numberIn(event) ?? 0,
}

/** Our event store as the writing process serves it, whole or broken. */
export class OwnStore implements ServedStore {
  readonly #parts: OwnStoreParts

  constructor(parts: OwnStoreParts) {
    this.#parts = parts
  }

  async append(writes: readonly FramedWrite[], requestId: string | null): Promise<Appended> {
    const own = writes.map((write) => streamWrite(write, this.#parts.broken))
    if (this.#parts.broken !== 'splits-appends') return this.#send(own, requestId)
    const parts: Appended[] = []
    for (const write of own) parts.push(await this.#send([write], requestId))
    return { commitNo: parts[0]?.commitNo ?? null, places: parts.flatMap(({ places }) => places) }
  }

  count({ stream, event, requestId }: CountRequest): Promise<Appended> {
    const decide: Decide = (turn) => {
      const data = dataText({ key: event.key, value: turn.state(counter, stream) + 1 })
      const events = [{ eventId: event.eventId, type: event.type, schema: 1, data, meta: '{}' }]
      return [{ stream, expectedRevision: turn.revision(stream) ?? 'no_stream', events }]
    }
    return this.#send(decide, requestId)
  }

  async last(stream: string): Promise<{ readonly revision: bigint | null; readonly value: number | null }> {
    const [event] = await Array.fromAsync(this.#parts.store.readStream(stream, { direction: 'backwards', maxCount: 1 }))
    return event === undefined ? { revision: null, value: null } : { revision: event.revision, value: numberIn(event) }
  }

  async moment(agoUs: bigint): Promise<{ readonly timeUs: bigint; readonly position: bigint }> {
    const timeUs = this.#parts.nowUs() - agoUs
    return { timeUs, position: await this.#parts.store.positionAt(timeUs) }
  }

  head(): ToldHead {
    const { commitNo, root } = this.#parts.store.head
    return { commitNo, root: Buffer.from(root).toString('hex') }
  }

  setClock(offsetUs: bigint): void {
    this.#parts.setClock(offsetUs)
  }

  close(): Promise<void> {
    return this.#parts.store.close()
  }

  async #send(what: readonly StreamWrite[] | Decide, requestId: string | null): Promise<Appended> {
    const { broken, staged } = this.#parts
    try {
      if (broken === 'early-ack' && typeof what !== 'function') return await this.#acknowledgedEarly(what)
      if (broken === 'blind-retry' && typeof what !== 'function') return await this.#retriedBlindly(what)
      return toldOf(await this.#append(what, requestId))
    } catch (error) {
      if (error instanceof WrongExpectedRevisionError)
        throw new RefusedError(error.name, { stream: error.stream, current: error.current })
      if (error instanceof Error && refusals.some((refusal) => error instanceof refusal))
        throw new RefusedError(error.name)
      throw error
    } finally {
      staged.forget(what)
    }
  }

  async #append(what: readonly StreamWrite[] | Decide, requestId: string | null): Promise<readonly RecordedEvent[]> {
    const { events } = await this.#parts.store.append(what, requestId === null ? {} : { requestId })
    return events
  }

  async #acknowledgedEarly(writes: readonly StreamWrite[]): Promise<Appended> {
    const recorded = this.#append(writes, null)
    return toldOf(await Promise.race([this.#parts.staged.waitFor(writes), recorded]))
  }

  async #retriedBlindly(writes: readonly StreamWrite[]): Promise<Appended> {
    let events = await this.#append(writes, null).catch(inDoubt)
    while (events === null) {
      await sleep(20)
      const again = writes.map((write) => ({
        ...write,
        expectedRevision: 'any' as const,
        events: write.events.map((event) => ({ ...event, eventId: randomUUID() })),
      }))
      events = await this.#append(again, null).catch((error: unknown) =>
        error instanceof LogUnavailableError ? null : inDoubt(error),
      )
    }
    return toldOf(events)
  }
}

function inDoubt(error: unknown): null {
  if (error instanceof CommitInDoubtError) return null
  throw error
}

function toldOf(events: readonly RecordedEvent[]): Appended {
  const places = events.map(({ stream, revision, position }) => ({ stream, revision, position }))
  return { commitNo: events[0]?.commitNo ?? null, places }
}

function streamWrite({ stream, expected, events, blobs }: FramedWrite, broken: BrokenName | null): StreamWrite {
  return {
    stream,
    expectedRevision: broken === 'ignores-revision' ? 'any' : expected,
    events: events.map((event) => ({ ...event, schema: 1, meta: '{}' })),
    blobs: blobs.map((text) => ({ sha256: hash('sha256', text), bytes: Buffer.from(text) })),
  }
}

function numberIn(event: RecordedEvent): number | null {
  return parseEventData(Buffer.from(event.data).toString())?.value ?? null
}
