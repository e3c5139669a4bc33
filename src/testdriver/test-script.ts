import type { Driver } from '../driver/driver.ts'
import type { Fault } from '../util/fault.ts'
import type { Timers } from '../util/timers.ts'
import { untilAborted } from '../util/until-aborted.ts'

/** A request to the test driver that a script can disturb. */
export type TestOperation = Exclude<
  keyof Driver,
  'kind' | 'build' | 'listEmulators' | 'identify' | 'checkIdentity' | 'checkIdentities' | 'detach' | 'facts'
>

/** How one request is disturbed; every row is used once. */
interface Disturbance {
  readonly operation: TestOperation
  readonly uuid: string | null
  readonly effect:
    | { readonly kind: 'fail'; readonly fault: Fault }
    | { readonly kind: 'delay'; readonly delayMs: number }
}

/** Faults that a test plans for a driver, given to its constructor; a daemon runs without. */
export class TestScript {
  /** Version of the test emulator; another one stands for a replaced executable. */
  emulatorVersion = 1_000_000
  readonly #planned: Disturbance[] = []
  readonly #silentSinceMs = new Map<string, number>()

  /** The next such request, of one domain or of any, throws this fault before it does anything. */
  failNext(operation: TestOperation, fault: Fault, uuid: string | null = null): void {
    this.#planned.push({ operation, uuid, effect: { kind: 'fail', fault } })
  }

  /** The next such request, of one domain or of any, waits before it does anything. */
  delayNext(operation: TestOperation, delayMs: number, uuid: string | null = null): void {
    this.#planned.push({ operation, uuid, effect: { kind: 'delay', delayMs } })
  }

  /** The domain's monitor stops answering, as under SIGSTOP: every request waits until it is aborted. */
  silence(uuid: string, sinceMs: number): void {
    this.#silentSinceMs.set(uuid, sinceMs)
  }

  /** The monitor answers again. What waits still waits for its end: an answer that was not given is not given later. */
  endSilence(uuid: string): void {
    this.#silentSinceMs.delete(uuid)
  }

  /** Since when the monitor has been silent; null when it answers. */
  silentSinceMs(uuid: string): number | null {
    return this.#silentSinceMs.get(uuid) ?? null
  }

  /** Carries out what is planned for a request. Throws the planned fault, or the signal's when it ends a delay. */
  async disturb(
    operation: TestOperation,
    at: { readonly uuid: string | null; readonly signal: AbortSignal; readonly timers: Timers },
  ): Promise<void> {
    const found = this.#planned.findIndex(
      (row) => row.operation === operation && (row.uuid === null || row.uuid === at.uuid),
    )
    if (found === -1) return
    const [row] = this.#planned.splice(found, 1)
    if (row === undefined) return
    if (row.effect.kind === 'fail') throw row.effect.fault
    await untilAborted(`${operation}`, { signal: at.signal, forMs: row.effect.delayMs, timers: at.timers })
  }
}
