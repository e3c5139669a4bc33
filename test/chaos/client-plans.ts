import { hash } from 'node:crypto'
import type { Capabilities } from './capabilities.ts'
import { dataText, type EventData } from './event-data.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { FramedWrite } from './writer-frames.ts'

/** What a client is going to do. A plan with `retry` may be repeated as it is after an unknown outcome: the store takes it once. */
export type Plan =
  | {
      readonly kind: 'append'
      readonly writes: readonly FramedWrite[]
      readonly retry: boolean
      readonly requestId: string | null
    }
  | { readonly kind: 'count'; readonly stream: string; readonly requestId: string | null }
  | { readonly kind: 'read-and-count'; readonly stream: string }
  | { readonly kind: 'look'; readonly stream: string }
  | { readonly kind: 'moment'; readonly agoUs: bigint }

/** What a plan is made from: the client's own numbers and what it knows of its own streams (null: not there). */
export interface PlanContext {
  readonly client: number
  readonly random: SeededRandom
  readonly capabilities: Capabilities
  /** Revisions of streams that nobody else writes to; a stream whose last append is in doubt is missing. */
  readonly own: ReadonlyMap<string, bigint>
  /** A new key for an event of this operation. */
  readonly nextKey: () => string
  /** Milliseconds since 1970, for request ids. */
  readonly nowMs: () => number
}

/** A kind of operation: how often it is chosen, and how it is made; null where this client cannot do it now. */
export interface PlanKind {
  readonly name: string
  readonly weight: number
  readonly needs?: 'severalStreams' | 'streamExists' | 'ownExtras' | 'requestIds'
  make(context: PlanContext): Plan | null
}

const counters = 12
const busyStreams = 6
const ownStreams = 40
const freshNames = 400

/** The operations of a run. */
export const planKinds: readonly PlanKind[] = [
  { name: 'exact', weight: 30, make: (context) => append([exactWrite(context)]) },
  { name: 'read-and-count', weight: 10, make: (context) => ({ kind: 'read-and-count', stream: counterOf(context) }) },
  {
    name: 'count',
    weight: 8,
    needs: 'ownExtras',
    make: (context) => ({ kind: 'count', stream: counterOf(context), requestId: requestId(context) }),
  },
  { name: 'any', weight: 8, make: (context) => append([anyWrite(context)], { retry: false }) },
  {
    name: 'any with request id',
    weight: 8,
    needs: 'requestIds',
    make: (context) => appendNamed([anyWrite(context)], context),
  },
  {
    name: 'no_stream',
    weight: 6,
    make: (context) => append([write(`fresh-${context.random.between(0, freshNames)}`, 'no_stream', events(context))]),
  },
  {
    name: 'stream_exists',
    weight: 5,
    needs: 'streamExists',
    make: (context) => {
      const stream = context.random.chance(0.8) ? busyOf(context) : `never-${context.random.between(0, 9)}`
      return appendNamed([write(stream, 'stream_exists', events(context))], context)
    },
  },
  { name: 'several streams', weight: 10, needs: 'severalStreams', make: several },
  { name: 'big text', weight: 1, needs: 'ownExtras', make: bigText },
  { name: 'stale revision', weight: 5, make: stale },
  {
    name: 'too big',
    weight: 1,
    needs: 'ownExtras',
    make: (context) => append([write(busyOf(context), 'any', [event(context, { filling: 'x'.repeat(100_000) })])]),
  },
  {
    name: 'look',
    weight: 5,
    make: (context) => ({ kind: 'look', stream: context.random.pick([counterOf(context), ownOf(context)]) }),
  },
  {
    name: 'moment',
    weight: 2,
    needs: 'ownExtras',
    make: ({ random }) => ({ kind: 'moment', agoUs: BigInt(random.between(0, 3_000_000)) }),
  },
]

/** An event of a counter: the number decided by who read the one before. */
export function countingWrite(
  context: PlanContext,
  from: { stream: string; revision: bigint | null; value: number | null },
): FramedWrite {
  const data = { value: (from.value ?? 0) + 1 }
  return write(from.stream, from.revision ?? 'no_stream', [event(context, data)])
}

function append(
  writes: readonly FramedWrite[],
  { retry = true, requestId: id = null }: { readonly retry?: boolean; readonly requestId?: string | null } = {},
): Plan {
  return { kind: 'append', writes, retry, requestId: id }
}

/** An append that is known again by the name of its request, where the store knows such names. */
function appendNamed(writes: readonly FramedWrite[], context: PlanContext): Plan {
  const id = requestId(context)
  return append(writes, { retry: id !== null, requestId: id })
}

function write(stream: string, expected: FramedWrite['expected'], newEvents: FramedWrite['events']): FramedWrite {
  return { stream, expected, events: newEvents, blobs: [] }
}

function event({ random, nextKey }: PlanContext, data: Partial<EventData> = {}): FramedWrite['events'][number] {
  const key = nextKey()
  const text = dataText({ key, filling: fillingOf(random), ...data })
  return { eventId: random.uuid(), type: random.pick(['ChaosNoted', 'ChaosMeasured', 'ChaosMoved']), data: text }
}

function events(context: PlanContext): FramedWrite['events'] {
  const count = context.random.chance(0.8) ? 1 : context.random.between(2, 12)
  return Array.from({ length: count }, () => event(context))
}

function exactWrite(context: PlanContext): FramedWrite {
  const stream = ownOf(context)
  return write(stream, context.own.get(stream) ?? 'no_stream', events(context))
}

function anyWrite(context: PlanContext): FramedWrite {
  return write(busyOf(context), 'any', events(context))
}

function several(context: PlanContext): Plan {
  const exact = exactWrite(context)
  const others = Array.from({ length: context.random.between(1, 3) }, (_, at) =>
    write(`together-${at}-${context.random.between(0, 20)}`, 'any', events(context)),
  )
  return append(context.random.chance(0.5) ? [exact, ...others] : [...others, exact])
}

function bigText(context: PlanContext): Plan {
  const text = fillingOf(context.random).repeat(context.random.between(100, 400))
  const exact = exactWrite(context)
  return append([{ ...exact, events: [event(context, { blob: hash('sha256', text) })], blobs: [text] }])
}

/** An exact revision that its stream has left behind, or not reached. */
function stale(context: PlanContext): Plan | null {
  const stream = ownOf(context)
  const revision = context.own.get(stream)
  if (revision === undefined || revision < 1n) return null
  const wrong = context.random.chance(0.5) ? revision - 1n : revision + BigInt(context.random.between(1, 5))
  return append([write(stream, wrong, events(context))])
}

function ownOf({ client, random }: PlanContext): string {
  return `own${client}-${random.between(1, ownStreams)}`
}

function busyOf({ random }: PlanContext): string {
  return `busy-${random.between(1, busyStreams)}`
}

function counterOf({ random }: PlanContext): string {
  return `counter-${random.between(1, counters)}`
}

function requestId({ random, nowMs, capabilities }: PlanContext): string | null {
  return capabilities.requestIds ? random.uuidV7(nowMs()) : null
}

const letters = ['a', 'b', 'c', 'x', 'y', 'z', ' ', '0', 'äß', '漢字', '🙂', '"', '\\', '\n'] as const

function fillingOf(random: SeededRandom): string {
  return Array.from({ length: random.between(5, 120) }, () => random.pick(letters)).join('')
}
