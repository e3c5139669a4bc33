import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Captured, capture } from './capture.ts'
import { type DaemonFile, readDaemonFile } from '../../src/cli/daemon-file.ts'
import { endProcess, hasEnded, processesNaming } from './end-processes.ts'
import { waitForSocket } from './wait-for-socket.ts'

const launcher = fileURLToPath(new URL('../../src/launcher.js', import.meta.url))

/** How a daemon for a test is started. */
export interface DaemonOptions {
  /** What serves the domains; what is installed if not given. */
  readonly driver?: 'qemu' | 'test'
  /** More flags of `chronovisor daemon`. */
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Words in front of the command, such as `['taskset', '-c', '0']`; the last of them must replace itself by the command. */
  readonly through?: readonly string[]
  /** Flags of Node, such as `--cpu-prof`. */
  readonly nodeFlags?: readonly string[]
  /** Milliseconds until it must accept connections; 60 s if not given. */
  readonly readyMs?: number
}

/** How a daemon ended. */
export interface DaemonEnd {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
}

/** Our daemon in temporary directories of its own. Disposing ends it, its PostgreSQL and its domains, and removes the directories. */
export interface RunningDaemon extends AsyncDisposable {
  /** Holds `state` and `run`, and may be used for images; everyone can pass through it. */
  readonly directory: string
  readonly stateDir: string
  readonly socketDir: string
  /** What the daemon says about itself. */
  file(): DaemonFile
  pid(): number
  /** The socket for reading and writing. */
  socketPath(): string
  /** A URI for clients, with parameters of the caller's, such as "reason=CHG-1". */
  uri(parameters?: string): string
  /** Everything that all its runs have printed. */
  output(): string
  /** Starts it again after an end; waits until it accepts connections. */
  start(): Promise<void>
  /** SIGTERM; waits for the end. */
  stop(): Promise<DaemonEnd>
  /** SIGKILL; waits for the end. */
  kill(): Promise<DaemonEnd>
  /** Runs a command of the CLI against its directories. */
  cli(...args: readonly string[]): Promise<Captured>
}

/** Starts `node src/launcher.js daemon` in temporary directories and waits until it accepts connections. Throws with what it printed. */
export async function startDaemon(options: DaemonOptions = {}): Promise<RunningDaemon> {
  const daemon = new TestDaemon(options)
  try {
    await daemon.start()
    return daemon
  } catch (error) {
    await daemon[Symbol.asyncDispose]()
    throw error
  }
}

class TestDaemon implements RunningDaemon {
  readonly directory: string
  readonly stateDir: string
  readonly socketDir: string
  readonly #options: DaemonOptions
  readonly #log: string
  #child: ChildProcess | null = null

  constructor(options: DaemonOptions) {
    // Short, as the path of a UNIX socket has 107 bytes at most; open, as PostgreSQL and QEMU run as users of their own.
    this.directory = mkdtempSync(join(tmpdir(), 'cv-'))
    chmodSync(this.directory, 0o755)
    this.stateDir = join(this.directory, 'state')
    this.socketDir = join(this.directory, 'run')
    mkdirSync(this.socketDir)
    this.#options = options
    this.#log = join(this.directory, 'daemon.log')
  }

  file(): DaemonFile {
    const file = readDaemonFile(this.socketDir)
    if (file === null)
      throw new Error(`Cannot tell where the daemon is: it has not written ${this.socketDir}/daemon.json`)
    return file
  }

  pid(): number {
    return this.file().pid
  }

  socketPath(): string {
    return this.file().sockets.readWrite
  }

  uri(parameters = ''): string {
    const { uri } = this.file()
    return parameters === '' ? uri : `${uri}${uri.includes('?') ? '&' : '?'}${parameters}`
  }

  output(): string {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8') : ''
  }

  async start(): Promise<void> {
    const { through = [], nodeFlags = [], readyMs = 60_000 } = this.#options
    const [command = process.execPath, ...args] = [
      ...through,
      process.execPath,
      ...nodeFlags,
      launcher,
      'daemon',
      ...this.#flags(),
    ]
    const log = openSync(this.#log, 'a')
    const child = spawn(command, args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, NO_COLOR: '1', ...this.#options.env },
    })
    closeSync(log)
    this.#child = child
    const gone = new AbortController()
    child.once('error', (error) => gone.abort(error))
    child.once('exit', (status) =>
      gone.abort(new Error(`Cannot start the daemon: it ended with status ${status}\n${this.output()}`)),
    )
    const deadline = performance.now() + readyMs
    while (!this.#isDescribedBy(child)) {
      gone.signal.throwIfAborted()
      if (performance.now() > deadline)
        throw new Error(`Cannot start the daemon: not ready after ${readyMs} ms\n${this.output()}`)
      await sleep(5)
    }
    await waitForSocket(this.socketPath(), Math.max(1, deadline - performance.now()), gone.signal)
  }

  async stop(): Promise<DaemonEnd> {
    return await this.#end('SIGTERM')
  }

  async kill(): Promise<DaemonEnd> {
    return await this.#end('SIGKILL')
  }

  async cli(...args: readonly string[]): Promise<Captured> {
    const env = { CHRONOVISOR_STATE_DIR: this.stateDir, CHRONOVISOR_SOCKET_DIR: this.socketDir, NO_COLOR: '1' }
    return await capture(process.execPath, [launcher, ...args], { env, timeoutMs: 60_000 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null) await this.stop()
    // What outlives the daemon on purpose: domains and the embedded PostgreSQL, whose master tells its own processes.
    for (const pid of processesNaming(this.directory)) await endProcess(pid)
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }

  #flags(): string[] {
    const { driver, flags = [] } = this.#options
    const chosen = driver === undefined ? [] : ['--driver', driver]
    return ['--state-dir', this.stateDir, '--socket-dir', this.socketDir, ...chosen, ...flags]
  }

  #isDescribedBy(child: ChildProcess): boolean {
    return existsSync(join(this.socketDir, 'daemon.json')) && this.file().pid === child.pid
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<DaemonEnd> {
    const child = this.#child
    if (child === null) throw new Error('Cannot stop the daemon: it was never started')
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill(signal)
      const { pid = 0 } = child
      if (!(await hasEnded(pid, 30_000))) {
        child.kill('SIGKILL')
        await ended
        throw new Error(`Cannot stop the daemon: it runs 30 s after ${signal}, and was killed\n${this.output()}`)
      }
      await ended
    }
    return { status: child.exitCode, signal: child.signalCode }
  }
}
