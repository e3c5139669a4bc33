import type { Log } from '../../src/commands/host.ts'
import { override } from './override.ts'

/** Holds tasks between all that they decided by and the record of their intent; facts pass. */
export class IntentGate {
  #gate: PromiseWithResolvers<void> | null = null
  /** Tasks that wait at it. */
  waiting = 0

  /** From now on every task waits. */
  close(): void {
    this.#gate ??= Promise.withResolvers()
  }

  /** Lets all of them go on. */
  open(): void {
    this.#gate?.resolve()
    this.#gate = null
  }

  /** A log whose intents pass the gate. */
  wrap(log: Log): Log {
    return override(log, {
      append: async (decide, options) => {
        if (options?.kind === 'intent' && this.#gate !== null) {
          this.waiting += 1
          await this.#gate.promise
          this.waiting -= 1
        }
        return await log.append(decide, options)
      },
    })
  }
}
