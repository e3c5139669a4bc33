import { setTimeout as sleep } from 'node:timers/promises'
import { abortFault } from '../util/abort-fault.ts'
import { Fault } from '../util/fault.ts'
import { QmpClient, type QmpConnectOptions } from './qmp-client.ts'
import type { SpawnedQemu } from './spawn-qemu.ts'

const firstPauseMs = 2
const longestPauseMs = 20

/** What a wait for a new monitor needs besides what the connection needs. */
export interface ConnectNewQemuOptions extends QmpConnectOptions {
  readonly process: SpawnedQemu
  /** Until the monitor greets. */
  readonly timeoutMs: number
}

/**
 * Connects to the monitor of a QEMU that was just started, as soon as it listens. Throws Fault when QEMU ends first
 * (the caller adds what it wrote) or does not get there within the limit.
 */
export async function connectNewQemu(path: string, options: ConnectNewQemuOptions): Promise<QmpClient> {
  const { process, timeoutMs } = options
  const waiting = new AbortController()
  const limit = AbortSignal.timeout(timeoutMs)
  const signal = AbortSignal.any([options.signal, limit, waiting.signal])
  const died = process.ended.then(({ text }) => {
    waiting.abort(
      new Fault('operation_failed', `Cannot talk to QEMU: it ended with ${text} before its monitor answered`),
    )
  })
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    try {
      const limits = { ...options.limits, greetingTimeoutMs: timeoutMs }
      return await QmpClient.connect(path, { ...options, signal, limits })
    } catch (error) {
      // An end of the process shows as a broken connection a moment before the exit status arrives.
      if (!isNotThereYet(error)) await Promise.race([died, sleep(200)])
      if (signal.aborted) throw abortFault(signal, `connect to the monitor of a new QEMU at "${path}"`)
      if (!isNotThereYet(error)) throw error
    }
    await sleep(pauseMs)
  }
}

// Before bind() there is no socket, before listen() nobody accepts.
function isNotThereYet(error: unknown): boolean {
  if (!(error instanceof Fault)) return false
  const { cause } = error
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED')
}
