import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { Fault } from '../util/fault.ts'
import { parseWorld, printWorld, type WorldState, type WorldStore } from './world-state.ts'

/** Keeps the state in this process only; two drivers that share one store play a restart of the daemon. */
export class MemoryWorldStore implements WorldStore {
  #state: WorldState | null = null

  load(): WorldState | null {
    return this.#state
  }

  save(state: WorldState): void {
    this.#state = state
  }
}

/**
 * Keeps the state in a small file, replaced as a whole, so that a daemon killed at any moment finds one state or the
 * next. No fsync: like QEMU's processes, it must survive the daemon and not the host.
 */
export class FileWorldStore implements WorldStore {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Throws a Fault that names the file when it is unreadable: running domains must not be forgotten in silence. */
  load(): WorldState | null {
    try {
      return parseWorld(readFileSync(this.#path, 'utf8'))
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
      const why = error instanceof Error ? error.message : String(error)
      throw new Fault('operation_failed', `Cannot read the test driver's state "${this.#path}": ${why}`, {
        cause: error,
      })
    }
  }

  save(state: WorldState): void {
    const next = `${this.#path}.new`
    writeFileSync(next, printWorld(state), { mode: 0o600 })
    renameSync(next, this.#path)
  }
}
