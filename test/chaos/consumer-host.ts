import { setTimeout as sleep } from 'node:timers/promises'
import { ChaosProcess } from './chaos-process.ts'
import type { Findings } from './findings.ts'
import { type ConsumerProcessOptions, optionsText } from './process-options.ts'

const restartPauseMs = 30

/** Keeps a consumer's process running. */
export class ConsumerHost implements AsyncDisposable {
  readonly options: ConsumerProcessOptions
  readonly #findings: Findings
  #process: ChaosProcess | null = null
  #isStopping = false
  #running: Promise<void> = Promise.resolve()

  constructor(options: ConsumerProcessOptions, findings: Findings) {
    this.options = options
    this.#findings = findings
  }

  get process(): ChaosProcess | null {
    return this.#process
  }

  start(): void {
    this.#running = this.#keep()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    await this.#process?.end()
    await this.#running
  }

  async #keep(): Promise<void> {
    while (!this.#isStopping) {
      const current = new ChaosProcess('consumer-process.ts', optionsText(this.options))
      this.#process = current
      await current.exited
      if (this.options.target === 'ours' && current.crash !== null)
        this.#findings.add('missing', `consumer "${this.options.name}" broke down: ${current.crash}`)
      if (!this.#isStopping) await sleep(restartPauseMs)
    }
  }
}
