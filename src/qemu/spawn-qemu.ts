import { spawn } from 'node:child_process'
import { Fault } from '../util/fault.ts'
import type { ProcessUser } from '../driver/host-facts.ts'

/** A QEMU to start. */
export interface SpawnRequest {
  readonly binary: string
  readonly args: readonly string[]
  /** Null runs it as the daemon's own user. */
  readonly user: ProcessUser | null
  /** Open file for its output and errors. */
  readonly outputDescriptor: number
  /** What it is started for, for errors. */
  readonly action: string
  /** Bounds that the kernel keeps; without them there are none but the daemon's own. */
  readonly limits?: ProcessLimits
}

/** What a process may use; beyond it allocations fail, and writing and computing end it by a signal. */
export interface ProcessLimits {
  /** Address space. */
  readonly memoryKib: number
  /** Size of any file that it writes. */
  readonly fileKib: number
  readonly cpuSeconds: number
}

/** A QEMU that this daemon started. It has a session of its own, is never waited for at our end, and outlives us. */
export interface SpawnedQemu {
  readonly pid: number
  /** How it ended, in words: `exit status 1`, `signal SIGSEGV`. Only its parent learns this. */
  readonly ended: Promise<ProcessEnd>
}

/** The end of a child process. */
export interface ProcessEnd {
  readonly text: string
  readonly signal: string | null
}

/**
 * Starts QEMU in a session of its own. Not by `-daemonize`: the sandbox's `spawn=deny` forbids the fork that it needs, and it would send the
 * last words of a dying QEMU to /dev/null. Throws Fault when the program cannot be executed.
 */
export async function spawnQemu(request: SpawnRequest): Promise<SpawnedQemu> {
  const { user, outputDescriptor, action } = request
  const [program = '', ...args] = limitedCommand(request)
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', outputDescriptor, outputDescriptor],
    cwd: '/',
    // Nothing of the daemon's environment (database URLs, tokens) reaches the guest's process.
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      LC_ALL: 'C',
      HOME: '/',
      QEMU_AUDIO_DRV: 'none',
    },
    ...user,
  })
  child.unref()
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.once('exit', (code, signal) => {
      resolve(signal === null ? { text: `exit status ${code}`, signal: null } : { text: `signal ${signal}`, signal })
    })
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (cause) => reject(new Fault('system', `Cannot ${action}: ${cause.message}`, { cause })))
  })
  // A later error event (a signal that could not be sent) has no listener and must not end the daemon.
  child.on('error', () => undefined)
  if (child.pid === undefined) throw new Fault('internal', `Cannot ${action}: the new process has no pid`)
  return { pid: child.pid, ended }
}

/** Node cannot set limits: a shell does, and becomes the program. It counts files in blocks of 512 bytes. */
function limitedCommand({ binary, args, limits }: SpawnRequest): readonly string[] {
  if (limits === undefined) return [binary, ...args]
  const { memoryKib, fileKib, cpuSeconds } = limits
  const set = `ulimit -c 0; ulimit -v ${memoryKib}; ulimit -f ${fileKib * 2}; ulimit -t ${cpuSeconds}`
  return ['/bin/sh', '-c', `${set}; exec "$@"`, 'sh', binary, ...args]
}

/**
 * Kills a QEMU that must not run, with the whole group that it was started in: a wrapper may have put QEMU into a child of its own. The group's number
 * stays ours until its last member is gone. Returns at once; `ended` tells when the kernel has let go.
 */
export function killGroup({ pid }: SpawnedQemu): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
