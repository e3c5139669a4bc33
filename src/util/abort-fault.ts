import { Fault, isFault } from './fault.ts'

/** What to throw when a signal ends an action: the fault that its owner aborted with, else one that tells a time limit from a cancellation. */
export function abortFault(signal: AbortSignal, action: string): Fault {
  const reason: unknown = signal.reason
  if (isFault(reason)) return reason
  const timedOut = reason instanceof Error && reason.name === 'TimeoutError'
  if (timedOut) return new Fault('operation_timeout', `Cannot ${action}: the time limit was reached`, { cause: reason })
  return new Fault('operation_aborted', `Cannot ${action}: it was cancelled`, { cause: reason })
}
