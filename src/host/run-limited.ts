import { spawn } from 'node:child_process'
import type { ProcessUser } from '../driver/host-facts.ts'
import { abortFault } from '../util/abort-fault.ts'
import { Fault } from '../util/fault.ts'

/** A program to run to its end, with everything that bounds it. */
export interface LimitedProgram {
  readonly program: string
  readonly args: readonly string[]
  /** What it is run for, for errors: "create overlay ...". */
  readonly action: string
  /** Null runs it as the daemon's own user. */
  readonly user: ProcessUser | null
  /** Handed to the program as file descriptor 3. */
  readonly descriptor: number
  readonly timeoutMs: number
  readonly maxMemoryBytes: bigint
  readonly signal: AbortSignal
}

const maxOutputBytes = 8192

/** Runs a program with a limit on time, memory and CPU time, without input, and throws Fault with its first words on stderr when it fails. */
export async function runLimited(run: LimitedProgram): Promise<void> {
  if (run.signal.aborted) throw abortFault(run.signal, run.action)
  const cpuSeconds = Math.ceil(run.timeoutMs / 1000)
  const limits = [`--as=${run.maxMemoryBytes}`, `--cpu=${cpuSeconds}`, '--core=0']
  const child = spawn('prlimit', [...limits, '--', run.program, ...run.args], {
    stdio: ['ignore', 'ignore', 'pipe', run.descriptor],
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' },
    cwd: '/',
    ...run.user,
  })
  let output = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    if (output.length < maxOutputBytes) output += chunk.toString('utf8')
  })
  const timeout = AbortSignal.timeout(run.timeoutMs)
  const stop = AbortSignal.any([run.signal, timeout])
  const onStop = (): void => void child.kill('SIGKILL')
  stop.addEventListener('abort', onStop, { once: true })
  try {
    const end = await new Promise<string | null>((resolve, reject) => {
      child.on('error', (cause) => reject(new Fault('system', `Cannot ${run.action}: ${cause.message}`, { cause })))
      child.on('close', (code, signal) =>
        resolve(code === 0 ? null : code === null ? `ended by ${signal}` : `exit status ${code}`),
      )
    })
    if (end === null) return
    if (stop.aborted) throw abortFault(stop, run.action)
    throw new Fault('operation_failed', `Cannot ${run.action}: ${run.program} says "${output.trim()}" (${end})`)
  } finally {
    stop.removeEventListener('abort', onStop)
  }
}
