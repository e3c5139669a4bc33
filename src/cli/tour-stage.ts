import { type ChildProcess, execFile, spawn } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CliError } from './cli-error.ts'
import { readDaemonFile } from './daemon-file.ts'
import { findCommand } from './is-package-present.ts'

const readyLimitMs = 60_000
const stopLimitMs = 20_000
const commandLimitMs = 60_000
const maxOutputBytes = 4 << 20

/** How a program that the tour ran has ended, and what it wrote. */
export interface Ended {
  readonly status: number
  readonly text: string
}

/** A daemon and images of the tour's own, in a temporary directory. Disposing ends and removes everything that was started or made. */
export class TourStage implements AsyncDisposable {
  readonly directory: string
  readonly stateDir: string
  readonly socketDir: string
  /** Whether domains are real QEMU processes. */
  readonly isReal: boolean
  readonly hasVirsh: boolean
  readonly virtType: 'kvm' | 'qemu' | 'test'
  #daemon: ChildProcess | null = null

  constructor() {
    const path = process.env['PATH'] ?? ''
    const found = (name: string): boolean => findCommand(name, path) !== null
    this.isReal = ['qemu-system-x86_64', 'qemu-img', 'qemu-io'].every(found)
    this.hasVirsh = found('virsh')
    this.virtType = this.isReal ? (isUsable('/dev/kvm') ? 'kvm' : 'qemu') : 'test'
    // Open to all: PostgreSQL and QEMU run as users of their own where the tour is root's.
    this.directory = mkdtempSync(join(tmpdir(), 'tour-'))
    chmodSync(this.directory, 0o755)
    this.stateDir = join(this.directory, 'state')
    this.socketDir = join(this.directory, 'run')
    mkdirSync(this.socketDir)
  }

  at(name: string): string {
    return join(this.directory, name)
  }

  write(name: string, text: string): void {
    writeFileSync(this.at(name), text)
  }

  /** URI for clients; parameters such as "reason=…" are appended. */
  uri(parameters = ''): string {
    const { uri } = this.#file()
    return parameters === '' ? uri : `${uri}&${parameters}`
  }

  daemonPid(): number {
    return this.#file().pid
  }

  /** Starts the daemon and waits until it serves; gives the milliseconds that took. */
  async startDaemon(): Promise<number> {
    const startedMs = performance.now()
    const log = openSync(this.at('daemon.log'), 'a')
    const places = [
      '--state-dir',
      this.stateDir,
      '--socket-dir',
      this.socketDir,
      '--driver',
      this.isReal ? 'qemu' : 'test',
    ]
    const child = spawn(process.execPath, [ownProgram(), 'daemon', ...places], { stdio: ['ignore', log, log] })
    closeSync(log)
    this.#daemon = child
    while (!this.#serves(child)) {
      if (child.exitCode !== null || performance.now() - startedMs > readyLimitMs) {
        throw new CliError(`The tour's daemon did not start:\n${readFileSync(this.at('daemon.log'), 'utf8')}`)
      }
      await sleep(5)
    }
    return performance.now() - startedMs
  }

  /** Kills the daemon as a crash would. */
  async killDaemon(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Stops the daemon in order, its PostgreSQL too. */
  async stopDaemon(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** Runs `chronovisor …` against this daemon's directories. */
  async chronovisor(words: readonly string[]): Promise<Ended> {
    const places = ['--state-dir', this.stateDir, '--socket-dir', this.socketDir]
    return await this.run(process.execPath, [ownProgram(), ...words, ...places])
  }

  /** Runs a program to its end; its output and its errors together. */
  run(command: string, args: readonly string[]): Promise<Ended> {
    const options = { timeout: commandLimitMs, maxBuffer: maxOutputBytes, env: { ...process.env, LC_ALL: 'C.UTF-8' } }
    return new Promise((resolve) => {
      execFile(command, args, options, (error, out, err) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        const text = `${out}${err}${error !== null && out + err === '' ? error.message : ''}`
        resolve({ status, text: text.replaceAll(/\r/g, '').trim() })
      })
    })
  }

  /** Process numbers of the QEMUs that this tour's daemon has started. */
  hypervisors(): readonly number[] {
    return this.#own()
      .filter(({ words }) => words.includes('qemu-system'))
      .map(({ pid }) => pid)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('SIGTERM')
    // What is left after a tour that was cut off: domains and a PostgreSQL whose daemon is dead.
    for (const { pid } of this.#own()) await endProcess(pid)
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }

  #file(): { readonly pid: number; readonly uri: string } {
    const file = readDaemonFile(this.socketDir)
    if (file === null) throw new CliError('The tour has lost its daemon: there is no daemon.json')
    return file
  }

  #serves(child: ChildProcess): boolean {
    return readDaemonFile(this.socketDir)?.pid === child.pid
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#daemon
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    const late = setTimeout(() => child.kill('SIGKILL'), stopLimitMs)
    child.kill(signal)
    await ended
    clearTimeout(late)
  }

  /** Processes that work in the tour's directory, by their command lines. */
  #own(): readonly { readonly pid: number; readonly words: string }[] {
    const pids = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
    const all = pids.filter((pid) => pid !== process.pid).map((pid) => ({ pid, words: commandLine(pid) }))
    return all.filter(({ words }) => words.includes(this.directory))
  }
}

/** The file that this process was started with: the program whose subcommands the tour calls. */
function ownProgram(): string {
  const [, program] = process.argv
  if (program === undefined) throw new CliError('Cannot find the program of this process')
  return program
}

function isUsable(device: string): boolean {
  try {
    accessSync(device, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

async function endProcess(pid: number): Promise<void> {
  for (const [signal, patienceMs] of [
    ['SIGTERM', 3_000],
    ['SIGKILL', 3_000],
  ] as const) {
    try {
      process.kill(pid, signal)
    } catch {
      return
    }
    const deadline = performance.now() + patienceMs
    while (commandLine(pid) !== '' && performance.now() < deadline) await sleep(20)
    if (commandLine(pid) === '') return
  }
}
