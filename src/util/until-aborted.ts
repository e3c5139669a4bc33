import { abortFault } from './abort-fault.ts'
import type { Timers } from './timers.ts'

/** How long to wait. */
export interface WaitOptions {
  readonly signal: AbortSignal
  /** null = until the signal aborts. */
  readonly forMs: number | null
  readonly timers: Timers
}

/** Waits for a time; throws the signal's fault when it aborts before. */
export async function untilAborted(action: string, { signal, forMs, timers }: WaitOptions): Promise<void> {
  if (signal.aborted) throw abortFault(signal, action)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const abort = () => reject(abortFault(signal, action))
  signal.addEventListener('abort', abort, { once: true })
  const timer = forMs === null ? null : timers.after(forMs, resolve)
  try {
    await promise
  } finally {
    timer?.cancel()
    signal.removeEventListener('abort', abort)
  }
}
