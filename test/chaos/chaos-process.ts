import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const keptStderrBytes = 4_000

/** A process of a run: told what to do by its argument, heard by its lines, ended by a signal or with the pipe to its standard input. */
export class ChaosProcess {
  readonly #child: ChildProcess
  readonly exited: Promise<void>
  #lastLine = ''
  #stderr = ''
  #expectsEnd = false

  /** `script` is a file of this folder. */
  constructor(script: string, argument: string, onLine: (line: string) => void = () => undefined) {
    const path = fileURLToPath(new URL(script, import.meta.url))
    const child = spawn(process.execPath, ['--enable-source-maps', path, argument], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    child.stdin.on('error', () => undefined)
    child.stderr.on('data', (bytes: Buffer) => {
      this.#stderr = (this.#stderr + bytes.toString()).slice(-keptStderrBytes)
    })
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#lastLine = line
      onLine(line)
    })
    this.exited = new Promise((resolve) => child.once('close', () => resolve()))
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Why it ended, where nobody ended it; null where that is in order. */
  get crash(): string | null {
    const { exitCode, signalCode } = this.#child
    if (this.#expectsEnd || exitCode === 0) return null
    return `it ended with ${signalCode ?? exitCode}: ${this.#lastLine} ${this.#stderr}`.trim()
  }

  /** Sends a signal; where that ends it, the end is in order. */
  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    if (name === 'SIGKILL') this.#expectsEnd = true
    if (this.isRunning) this.#child.kill(name)
  }

  /** Ends it by force, if it still runs, and waits for it. */
  async end(): Promise<void> {
    this.signal('SIGKILL')
    await this.exited
  }
}
