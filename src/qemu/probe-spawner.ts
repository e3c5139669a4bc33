import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { Socket } from 'node:net'
import { constants } from 'node:os'
import { createInterface } from 'node:readline'
import { Fault } from '../util/fault.ts'
import {
  type ProcessEnd,
  qemuEnvironment,
  setLimits,
  type SpawnedQemu,
  type SpawnRequest,
  spawnQemu,
} from './spawn-qemu.ts'

/** A process to start, and where the shell's words about it go. */
interface Job {
  started(pid: number): void
  ended(end: ProcessEnd): void
  failed(error: Fault): void
}

/** The programs that a job changes its session and its user with, in PATH of {@link qemuEnvironment}. */
const tools = ['/usr/bin/setsid', '/usr/bin/setpriv']
/** Reads one job a line, until its input ends; it runs as the daemon does, so that no emulator can speak for it. */
const loop = 'while IFS= read -r job; do eval "$job"; done'
const lingerMs = 1_000
/** A line's end, above all, would end the job where it stands. */
const plainWord = /^[\x20-\x7e]*$/
const signalOffset = 128

/**
 * Starts emulators from a shell of its own, which is gone when none is asked any more. The kernel copies the tables of all memory for each
 * process that is started from this one: with 200 MB that takes 20 ms each, in which the daemon does nothing else.
 */
export class ProbeSpawner {
  readonly #jobs = new Map<number, Job>()
  #shell: ChildProcess | null = null
  #linger: NodeJS.Timeout | null = null
  #next = 1

  /** Like {@link spawnQemu}, which it leaves alone with what a shell is better not told. */
  async spawn(request: SpawnRequest): Promise<SpawnedQemu> {
    const isPlain = [request.binary, ...request.args].every((word) => plainWord.test(word))
    if (!isPlain || !tools.every((tool) => existsSync(tool))) return await spawnQemu(request)
    const shell = this.#open(request.action)
    const id = this.#next
    this.#next += 1
    const begun = Promise.withResolvers<number>()
    const over = Promise.withResolvers<ProcessEnd>()
    this.#jobs.set(id, {
      started: begun.resolve,
      ended: (end) => {
        begun.reject(new Fault('system', `Cannot ${request.action}: its start ended with ${end.text}`))
        over.resolve(end)
      },
      failed: (error) => {
        begun.reject(error)
        over.resolve({ text: 'an unknown status', signal: null })
      },
    })
    shell.stdin?.write(`${jobLine(id, request)}\n`)
    return { pid: await begun.promise, ended: over.promise }
  }

  #open(action: string): ChildProcess {
    if (this.#linger !== null) clearTimeout(this.#linger)
    this.#linger = null
    if (this.#shell !== null) return held(this.#shell)
    const shell = spawn('/bin/sh', ['-c', loop], {
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
      cwd: '/',
      env: qemuEnvironment,
    })
    this.#shell = shell
    const gone = (why: string): void => this.#lost(shell, why)
    shell.once('error', (error) => gone(error.message))
    shell.once('exit', () => gone('the shell that starts it has ended'))
    // Its end is told by the exit.
    shell.stdin.on('error', () => undefined)
    if (shell.stdin instanceof Socket) shell.stdin.unref()
    createInterface({ input: shell.stdout }).on('line', (line) => this.#hear(line))
    shell.unref()
    if (shell.pid === undefined) throw new Fault('system', `Cannot ${action}: /bin/sh does not run`)
    return held(shell)
  }

  #hear(line: string): void {
    const [, id = '', what, number = ''] = /^(\d+) (started|ended) (\d+)$/.exec(line) ?? []
    const job = this.#jobs.get(Number(id))
    if (job === undefined) return
    if (what === 'started') {
      job.started(Number(number))
      return
    }
    this.#jobs.delete(Number(id))
    job.ended(endOf(Number(number)))
    if (this.#jobs.size === 0) this.#closeSoon()
  }

  #closeSoon(): void {
    const shell = this.#shell
    if (shell?.stdout instanceof Socket) shell.stdout.unref()
    this.#linger = setTimeout(() => {
      if (this.#shell === shell) this.#shell = null
      shell?.stdin?.end()
    }, lingerMs)
    this.#linger.unref()
  }

  #lost(shell: ChildProcess, why: string): void {
    if (this.#shell !== shell) return
    this.#shell = null
    const jobs = [...this.#jobs.values()]
    this.#jobs.clear()
    for (const job of jobs) job.failed(new Fault('system', `Cannot start QEMU: ${why}`))
  }
}

/** Somebody waits for its words: the daemon does not end meanwhile. */
function held(shell: ChildProcess): ChildProcess {
  if (shell.stdout instanceof Socket) shell.stdout.ref()
  return shell
}

/**
 * The job says its process number once it has a session of its own, and its shell how it ended. Its output goes to the daemon's open file
 * itself: the name of that could be another file's by now.
 */
function jobLine(id: number, { binary, args, user, outputDescriptor, limits }: SpawnRequest): string {
  const program = `${limits === undefined ? '' : `${setLimits(limits)}; `}echo "$0 started $$" >&3; exec "$@" 3>&-`
  const as = user === null ? [] : ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--']
  const words = ['setsid', '/bin/sh', '-c', program, String(id), ...as, binary, ...args].map(quoted)
  const output = `/proc/${process.pid}/fd/${outputDescriptor}`
  return `{ ${words.join(' ')} 3>&1 >>${output} 2>&1 </dev/null & wait $!; echo "${id} ended $?"; } &`
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}

/** A shell tells the signal that ended a process as a status above 128. */
function endOf(status: number): ProcessEnd {
  const [signal] = Object.entries(constants.signals).find(([, number]) => number === status - signalOffset) ?? []
  return signal === undefined ? { text: `exit status ${status}`, signal: null } : { text: `signal ${signal}`, signal }
}
