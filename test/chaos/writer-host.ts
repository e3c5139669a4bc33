import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ChaosProcess } from './chaos-process.ts'
import type { Findings } from './findings.ts'
import { optionsText, type WriterOptions } from './process-options.ts'
import { WriterLink } from './writer-link.ts'

const restartPauseMs = 30
const replacedLimitMs = 15_000
// A server that is away is in order; a log that contradicts itself and a programming error are not.
const brokenOpening = /^failed: (LogCorrupt|Type|Range|Reference|Assertion|InvalidAppend)Error/

/** Keeps a process that writes running: whenever it ends another one starts. Clients ask it where to go. */
export class WriterHost implements AsyncDisposable {
  readonly #directory: string
  readonly #options: WriterOptions
  readonly #findings: Findings
  #process: ChaosProcess | null = null
  #path: string | null = null
  #generation = 0
  #isStopping = false
  #clockOffsetUs = 0n
  #running: Promise<void> = Promise.resolve()
  /** How many came to serve, and how often one had to wait for a former one. */
  readonly counts = { served: 0, busy: 0, fenced: 0, trialsRefused: 0, trialsOpened: 0 }
  readonly #replaced = new Set<ChaosProcess>()

  constructor({ directory, options, findings }: { directory: string; options: WriterOptions; findings: Findings }) {
    this.#directory = directory
    this.#options = options
    this.#findings = findings
  }

  /** The socket of the process that serves; null while there is none. */
  get path(): string | null {
    return this.#path
  }

  get process(): ChaosProcess | null {
    return this.#process
  }

  /** Starts the first one, and every next. */
  start(): void {
    this.#running = this.#keep()
  }

  /** Waits until one serves; false after the limit. */
  async serves(limitMs: number): Promise<boolean> {
    const deadline = performance.now() + limitMs
    while (this.#path === null) {
      if (performance.now() > deadline) return false
      await sleep(10)
    }
    return true
  }

  /** Lets the writer's clock say another time from now on. */
  async setClock(offsetUs: bigint): Promise<void> {
    this.#clockOffsetUs = offsetUs
    await this.#ask('clock')
  }

  /**
   * Another process becomes the writer while this one is stopped and `cutOff` takes its connection away; then it goes on, finds that
   * it has been replaced, and ends by itself.
   */
  async replaceStopped(cutOff: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const old = this.#process
    if (old === null || this.#path === null) return
    old.signal('SIGSTOP')
    this.#replaced.add(old)
    this.#path = null
    this.#process = null
    await cutOff()
    const deadline = performance.now() + replacedLimitMs
    // The loop that keeps one running starts the next as soon as this one is not the current.
    while (this.#path === null && performance.now() < deadline && !signal.aborted) await sleep(10)
    old.signal('SIGCONT')
    const hasEnded = await Promise.race([old.exited.then(() => true), sleep(replacedLimitMs, false)])
    if (!hasEnded && !signal.aborted && this.#path !== null)
      this.#findings.add('writer', `a replaced writer still ran ${replacedLimitMs} ms after it went on`)
    this.#replaced.delete(old)
    await old.end()
  }

  /** A process that only tries to become the writer, past the proxy. */
  async tryAnother(address: WriterOptions['address']): Promise<void> {
    const options = { ...this.#options, address, socketPath: null, output: null, feed: null, lockWaitMs: 100 }
    let line = ''
    const trial = new ChaosProcess('writer-process.ts', optionsText(options), (text) => (line = text))
    const hasEnded = await Promise.race([trial.exited.then(() => true), sleep(replacedLimitMs, false)])
    if (!hasEnded) this.#findings.add('writer', `another opener did not end within ${replacedLimitMs} ms`)
    await trial.end()
    if (line === 'opened') this.counts.trialsOpened += 1
    else if (line.startsWith('busy')) this.counts.trialsRefused += 1
    if (trial.crash !== null) this.#findings.add('writer', `another opener: ${trial.crash}`)
  }

  /** Ends the writer in order and starts no other. */
  async stop(): Promise<void> {
    this.#isStopping = true
    const current = this.#process
    if (current === null) return
    await this.#ask('close')
    const hasEnded = await Promise.race([current.exited.then(() => true), sleep(replacedLimitMs, false)])
    if (!hasEnded) this.#findings.add('writer', `the writer did not close within ${replacedLimitMs} ms`)
    await current.end()
    await this.#running
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    for (const process of [this.#process, ...this.#replaced]) await process?.end()
    await this.#running
  }

  async #keep(): Promise<void> {
    while (!this.#isStopping) {
      const socketPath = join(this.#directory, `w${this.#generation++}.sock`)
      const options = { ...this.#options, socketPath, clockOffsetUs: this.#clockOffsetUs }
      const current = new ChaosProcess('writer-process.ts', optionsText(options), (line) => this.#hear(line, current))
      this.#process = current
      // A replaced one is left to whoever replaced it.
      while (current.isRunning && this.#process === current) await Promise.race([current.exited, sleep(20)])
      if (this.#process === current) {
        this.#process = null
        this.#path = null
        if (this.#options.target === 'ours' && current.crash !== null)
          this.#findings.add('writer', `the writer broke down: ${current.crash}`)
      }
      if (!this.#isStopping) await sleep(restartPauseMs)
    }
  }

  #hear(line: string, process: ChaosProcess): void {
    if (line.startsWith('busy')) this.counts.busy += 1
    if (line.startsWith('fenced')) this.counts.fenced += 1
    if (brokenOpening.test(line)) this.#findings.add('writer', `the log cannot be opened: ${line}`)
    if (line !== 'ready' || this.#process !== process) return
    this.counts.served += 1
    this.#path = join(this.#directory, `w${this.#generation - 1}.sock`)
  }

  async #ask(what: 'clock' | 'close'): Promise<void> {
    const path = this.#path
    if (path === null) return
    const link = await WriterLink.open(path).catch(() => null)
    const offsetUs = this.#clockOffsetUs
    await link?.ask((id) => (what === 'clock' ? { kind: what, id, offsetUs } : { kind: what, id }), { limitMs: 2_000 })
    link?.close()
  }
}
