import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import type { ToldEvent } from './told-event.ts'

/** Longest chain of causes that is followed. */
const mostSteps = 64

/** A link of a chain of causes: an earlier event, and how it leads to the one after it. */
export interface Cause {
  readonly event: ToldEvent
  readonly how: 'caused it' | 'intent of the same command' | 'same request'
}

/**
 * What led to an event, nearest first, among the events before it: the event or command that it names as its cause, else
 * the intent that its own command recorded first, else the first event of the request that it belongs to.
 */
export function causesOf(event: ToldEvent, earlier: readonly ToldEvent[]): readonly Cause[] {
  const causes: Cause[] = []
  let at = event
  while (causes.length < mostSteps) {
    const next = causeOf(at, earlier)
    if (next === null) break
    causes.push(next)
    at = next.event
  }
  return causes
}

function causeOf(event: ToldEvent, earlier: readonly ToldEvent[]): Cause | null {
  const before = earlier.filter((one) => one.recorded.position < event.recorded.position && !isClaim(one.recorded))
  const { causationId, commandId, correlationId } = event.meta
  if (causationId !== null) {
    const cause =
      before.find((one) => one.recorded.eventId === causationId) ??
      before.find((one) => one.meta.commandId === causationId)
    if (cause !== undefined) return { event: cause, how: 'caused it' }
  }
  const intent = before.find((one) => one.meta.commandId === commandId)
  if (intent !== undefined) return { event: intent, how: 'intent of the same command' }
  if (correlationId === commandId) return null
  const first = before.find((one) => one.meta.correlationId === correlationId || one.meta.commandId === correlationId)
  return first === undefined ? null : { event: first, how: 'same request' }
}

/** Claims are taken beside an intent; they explain nothing by themselves. */
function isClaim({ type }: RecordedEvent): boolean {
  return type === 'ClaimTaken' || type === 'ClaimReleased'
}

/** Ids under which causes of an event may be found. */
export function idsOf({ meta }: Pick<ToldEvent, 'meta'>): readonly string[] {
  return [meta.commandId, meta.correlationId, ...(meta.causationId === null ? [] : [meta.causationId])]
}

/** Whether an event bears one of the ids: as its own name, its command or its request. */
export function bears({ recorded, meta }: ToldEvent, ids: ReadonlySet<string>): boolean {
  return ids.has(recorded.eventId) || ids.has(meta.commandId) || ids.has(meta.correlationId)
}

/**
 * The time in an id of version 7, in microseconds; null for another id. Ids are made before the events that carry them, so
 * that a search may begin there instead of at position 0.
 */
export function timeOfId(id: string): bigint | null {
  const match = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.exec(id)
  return match === null ? null : BigInt(`0x${match[1]}${match[2]}`) * 1000n
}
