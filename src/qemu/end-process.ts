import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessIdentity } from '../driver/driver.ts'
import type { ProcessTable } from '../driver/host-facts.ts'
import { abortFault } from '../util/abort-fault.ts'
import { Fault } from '../util/fault.ts'

/** How long each way of ending a process is given before the next. */
export interface EndLimits {
  readonly quitMs: number
  readonly terminateMs: number
  readonly killMs: number
}

/** A QEMU with much unwritten data needs time to close its images; a killed process is only kept by the kernel. */
export const defaultEndLimits: EndLimits = { quitMs: 5_000, terminateMs: 5_000, killMs: 15_000 }

const firstPauseMs = 2
const longestPauseMs = 50

/** What an end needs. */
export interface EndProcessRequest {
  readonly process: ProcessIdentity
  readonly processes: ProcessTable
  /** Asks by the monitor; null when there is none that answers. */
  readonly quit: (() => Promise<unknown>) | null
  readonly limits?: EndLimits
  readonly signal: AbortSignal
}

/**
 * Ends exactly this process: asked by its monitor, then SIGTERM, then SIGKILL. Returns when it is dead; a zombie is dead, whoever is slow to reap it. A
 * process that stands still (SIGSTOP) could answer neither of the first two and is killed at once. Throws Fault when even that does not end it.
 */
export async function endProcess({
  process,
  processes,
  quit,
  limits = defaultEndLimits,
  signal,
}: EndProcessRequest): Promise<void> {
  const wait = async (limitMs: number): Promise<boolean> =>
    await waitForEnd(process, { processes, limitMs, signal, until: () => processes.isStopped(process) })
  if (quit !== null && !processes.isStopped(process)) {
    // QEMU may close the connection before the answer: its end is what counts.
    quit().catch(() => undefined)
    if (await wait(limits.quitMs)) return
  }
  if (!processes.isStopped(process) && processes.signal(process, 'SIGTERM') && (await wait(limits.terminateMs))) return
  processes.signal(process, 'SIGKILL')
  if (await waitForEnd(process, { processes, limitMs: limits.killMs, signal })) return
  const state = `process ${process.pid} is still there ${limits.killMs} ms after SIGKILL, the kernel holds it`
  throw new Fault('operation_failed', `Cannot end QEMU: ${state}`)
}

/** How an end is waited for. */
export interface WaitForEndOptions {
  readonly processes: ProcessTable
  readonly limitMs: number
  readonly signal: AbortSignal
  /** Says that waiting longer is of no use. */
  readonly until?: () => boolean
}

/** Whether a process ends within the limit. Throws the signal's fault on abort. */
export async function waitForEnd(process: ProcessIdentity, options: WaitForEndOptions): Promise<boolean> {
  const { processes, limitMs, signal, until = () => false } = options
  const limit = performance.now() + limitMs
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    if (!processes.isAlive(process)) return true
    if (signal.aborted) throw abortFault(signal, `wait for the end of process ${process.pid}`)
    if (performance.now() >= limit || until()) return false
    await sleep(pauseMs)
  }
}
