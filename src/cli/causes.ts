import type { AnyFact } from '../events/catalogue.ts'
import { commandOfJob } from '../model/job-id.ts'
import type { ToldEvent } from './told-event.ts'

/** Longest chain of causes that is followed. */
const mostSteps = 64

/** A link of a chain of causes: an earlier event, and how it leads to the one after it. */
export interface Cause {
  readonly event: ToldEvent
  readonly how: 'caused it' | 'step of the same job' | 'intent of the same command' | 'same request'
}

/** Facts of a block job that make it go on; the others only tell how far it is. */
const jobSteps: ReadonlySet<string> = new Set([
  'BlockJobRequested',
  'BlockJobPivotRequested',
  'BlockJobCancelRequested',
  'BlockJobPivoting',
  'BlockJobFinalizing',
])

/** What stands beside an intent and explains nothing by itself. */
const aside: ReadonlySet<string> = new Set([
  'ClaimTaken',
  'ClaimReleased',
  'BackingChainDetected',
  'BackingChainVerified',
])

/**
 * What led to an event, nearest first, among the events before it: the last step of its block job, the event or command that
 * it names as its cause, the intent that its own command recorded, or the first event of the request that it belongs to.
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
  const { causationId, commandId, correlationId } = event.meta
  const before = earlier.filter(
    (one) => one.recorded.position < event.recorded.position && !aside.has(one.recorded.type),
  )
  const jobId = jobIdOf(event.fact)
  const step = before.findLast(
    (one) => jobId !== null && jobIdOf(one.fact) === jobId && jobSteps.has(one.recorded.type),
  )
  if (step !== undefined) return { event: step, how: 'step of the same job' }
  const named = before.find((one) => one.recorded.eventId === causationId) ?? intentOf(before, causationId)
  if (named !== undefined) return { event: named, how: 'caused it' }
  const intent = intentOf(before, commandId)
  if (intent !== undefined) return { event: intent, how: 'intent of the same command' }
  const first = correlationId === commandId ? undefined : before.find((one) => one.meta.correlationId === correlationId)
  return first === undefined ? null : { event: first, how: 'same request' }
}

/** What a command recorded first: its intent, where it has one. */
function intentOf(events: readonly ToldEvent[], commandId: string | null): ToldEvent | undefined {
  return commandId === null ? undefined : events.find((one) => one.meta.commandId === commandId)
}

/** Ids under which causes of an event may be found. */
export function idsOf({ meta, fact }: ToldEvent): readonly string[] {
  const jobId = jobIdOf(fact)
  const cause = meta.causationId === null ? [] : [meta.causationId]
  return [meta.commandId, meta.correlationId, ...cause, ...(jobId === null ? [] : [commandOfJob(jobId)])]
}

/** Whether an event bears one of the ids: as its own name, its command, its request, or its block job's command. */
export function bears({ recorded, meta, fact }: ToldEvent, ids: ReadonlySet<string>): boolean {
  const jobId = jobIdOf(fact)
  const isOfJob = jobId !== null && ids.has(commandOfJob(jobId))
  return isOfJob || ids.has(recorded.eventId) || ids.has(meta.commandId) || ids.has(meta.correlationId)
}

/**
 * The time in an id of version 7, in microseconds; null for another id. Ids are made before the events that carry them, so
 * that a search may begin there instead of at position 0.
 */
export function timeOfId(id: string): bigint | null {
  const match = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.exec(id)
  return match === null ? null : BigInt(`0x${match[1]}${match[2]}`) * 1000n
}

function jobIdOf(fact: AnyFact | null): string | null {
  return fact !== null && 'jobId' in fact.data ? fact.data.jobId : null
}
