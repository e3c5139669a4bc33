import { LogCorruptError } from './append-errors.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** Bounds of the events kept in memory for those who follow the log. */
export interface RingLimits {
  readonly ringEvents: number
  readonly ringBytes: number
}

/** Someone who waits for a later event; `woken` gives the position of the first one there is for them, null where that is not known. */
export interface RingWait {
  readonly woken: Promise<bigint | null>
  /** Gives up: `woken` resolves to null. */
  cancel(): void
}

// What an event costs beside its bytes, roughly.
const overheadBytes = 400

/**
 * The newest events, once in memory for all who follow the log. It never waits for anybody: who is slower than it is long reads the table
 * again. What it holds has no gap.
 */
export class EventRing {
  readonly #limits: RingLimits
  #events: (RecordedEvent | undefined)[] = []
  /** Of each event the number, counted from the last restart, of the one before it in its stream; -1 where none was held. */
  #previous: number[] = []
  /** The number of the newest event of each stream that has one here. */
  #newest = new Map<string, number>()
  /** The number of the event at index 0. */
  #base = 0
  /** Index of the oldest event still held: what is before it was let go. */
  #from = 0
  #bytes = 0
  #next: bigint | null = null
  readonly #waits = new Set<(position: bigint | null) => void>()
  readonly #streamWaits = new Map<string, Set<(position: bigint | null) => void>>()

  constructor(limits: RingLimits) {
    this.#limits = limits
  }

  /** The position that comes next; null while nobody feeds the ring. */
  get next(): bigint | null {
    return this.#next
  }

  /** Events held now. */
  get size(): number {
    return this.#events.length - this.#from
  }

  /** Bytes held now, as far as they are counted. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many wait. */
  get waiting(): number {
    return [...this.#streamWaits.values()].reduce((sum, waits) => sum + waits.size, this.#waits.size)
  }

  /** Begins anew, empty, before a position, or stops (null). Whoever waits looks at the table. */
  restart(next: bigint | null): void {
    this.#next = next
    this.#events = []
    this.#previous = []
    this.#newest = new Map()
    this.#base = 0
    this.#from = 0
    this.#bytes = 0
    for (const waits of [this.#waits, ...this.#streamWaits.values()]) wakeAll(waits, null)
    this.#streamWaits.clear()
  }

  /** Takes in what was committed, and wakes whoever waits for it. */
  push(events: readonly RecordedEvent[]): void {
    for (const event of events) {
      if (event.position !== this.#next) {
        throw new LogCorruptError(`Cannot follow the log: position ${event.position} comes where ${this.#next} is next`)
      }
      this.#next = event.position + 1n
      const number = this.#base + this.#events.length
      this.#previous.push(this.#newest.get(event.stream) ?? -1)
      this.#newest.set(event.stream, number)
      this.#events.push(event)
      this.#bytes += bytesOf(event)
    }
    this.#letGo()
    const [first] = events
    if (first === undefined) return
    if (this.#waits.size > 0) wakeAll(this.#waits, first.position)
    if (this.#streamWaits.size > 0) for (const event of events) this.#wakeStream(event)
  }

  /** Whether everything after a position is held, or still to come. */
  reaches(after: bigint): boolean {
    return this.#next !== null && after + 1n >= this.#next - BigInt(this.size)
  }

  /** Events after a position, at most so many; `reaches(after)` holds. */
  after(position: bigint, most: number): readonly RecordedEvent[] {
    if (this.#next === null || position + 1n >= this.#next) return []
    const start = this.#events.length - Number(this.#next - position - 1n)
    return this.#events.slice(start, start + most).filter((event) => event !== undefined)
  }

  /** The last revision of a stream; null where none of its events is held. */
  endOf(stream: string): bigint | null {
    const number = this.#newest.get(stream)
    return number === undefined ? null : (this.#events[number - this.#base]?.revision ?? null)
  }

  /** The events of a stream from a revision on, oldest first. Null where not all of them are held, or they are more than so many. */
  streamTail(
    stream: string,
    { from, most }: { readonly from: bigint; readonly most: number },
  ): readonly RecordedEvent[] | null {
    const tail: RecordedEvent[] = []
    let number = this.#newest.get(stream) ?? -1
    while (tail.length < most) {
      const event = this.#events[number - this.#base]
      if (event === undefined) return null
      if (event.revision >= from) tail.push(event)
      if (event.revision <= from) return tail.reverse()
      number = this.#previous[number - this.#base] ?? -1
    }
    return null
  }

  /** Waits for the next event, or the next one of a stream. */
  wait(stream: string | null): RingWait {
    const { promise, resolve } = Promise.withResolvers<bigint | null>()
    const waits = stream === null ? this.#waits : this.#waitsOf(stream)
    waits.add(resolve)
    const cancel = (): void => {
      waits.delete(resolve)
      if (stream !== null && waits.size === 0 && this.#streamWaits.get(stream) === waits)
        this.#streamWaits.delete(stream)
      resolve(null)
    }
    return { woken: promise, cancel }
  }

  #waitsOf(stream: string): Set<(position: bigint | null) => void> {
    const waits = this.#streamWaits.get(stream) ?? new Set()
    this.#streamWaits.set(stream, waits)
    return waits
  }

  #wakeStream(event: RecordedEvent): void {
    const waits = this.#streamWaits.get(event.stream)
    if (waits === undefined) return
    this.#streamWaits.delete(event.stream)
    wakeAll(waits, event.position)
  }

  #letGo(): void {
    const { ringEvents, ringBytes } = this.#limits
    while (this.size > 0 && (this.size > ringEvents || this.#bytes > ringBytes)) {
      const oldest = this.#events[this.#from]
      if (oldest !== undefined) {
        this.#bytes -= bytesOf(oldest)
        if (this.#newest.get(oldest.stream) === this.#base + this.#from) this.#newest.delete(oldest.stream)
      }
      this.#events[this.#from] = undefined
      this.#from += 1
    }
    // The places of those let go are given back now and then, so that each event is moved about once.
    if (this.#from > 1_024 && this.#from > this.#events.length / 2) {
      this.#events = this.#events.slice(this.#from)
      this.#previous = this.#previous.slice(this.#from)
      this.#base += this.#from
      this.#from = 0
    }
  }
}

function wakeAll(waits: Set<(position: bigint | null) => void>, position: bigint | null): void {
  for (const wake of waits) wake(position)
  waits.clear()
}

function bytesOf(event: RecordedEvent): number {
  return overheadBytes + event.data.length + event.meta.length
}
