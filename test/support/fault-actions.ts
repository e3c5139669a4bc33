import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { type CrashPoint, crashPoints, type Reach } from '../../src/commands/crash-points.ts'
import { hasEnded, processesNaming } from './end-processes.ts'

/** What a faulty daemon does when it passes its point: die by SIGKILL, kill the domain's process or the whole PostgreSQL (or stop that by SIGSTOP) and go on, throw, or go on only when told. */
export const faultActions = ['kill', 'kill-qemu', 'kill-postgres', 'stop-postgres', 'throw', 'hang'] as const

/** Which point, at which passage of it (1 = the first), and what then. `subject` is the UUID of the domain whose process dies. */
export const faultSchema = v.object({
  point: v.picklist(crashPoints),
  nth: v.number(),
  action: v.picklist(faultActions),
  subject: v.string(),
})

/** One planned fault. */
export type Fault = v.InferOutput<typeof faultSchema>

/** A fault waiting for its point; each happens once. */
export class PlannedFault {
  readonly #directories: { readonly stateDir: string; readonly socketDir: string }
  #fault: Fault | null = null
  #passed = 0
  #release = Promise.withResolvers<void>()
  /** The point at which the last fault happened; null until then. */
  fired: CrashPoint | null = null

  constructor(directories: { readonly stateDir: string; readonly socketDir: string }) {
    this.#directories = directories
  }

  /** Plans a fault in place of the last one; null = none. */
  plan(fault: Fault | null): void {
    this.#fault = fault
    this.#passed = 0
    this.fired = null
    this.#release = Promise.withResolvers<void>()
  }

  /** Lets the one that hangs go on. */
  release(): void {
    this.#release.resolve()
  }

  /** To be given to the daemon as its `reach`. */
  readonly reach: Reach = async (point) => {
    const fault = this.#fault
    if (fault === null || fault.point !== point) return
    this.#passed += 1
    if (this.#passed !== fault.nth) return
    this.#fault = null
    if (fault.action === 'kill') process.kill(process.pid, 'SIGKILL')
    if (fault.action === 'kill-qemu') await killDomain(this.#directories.socketDir, fault.subject)
    if (fault.action === 'kill-postgres') await killPostgres(this.#directories.stateDir)
    if (fault.action === 'stop-postgres') signalPostgres(this.#directories.stateDir, 'SIGSTOP')
    this.fired = point
    if (fault.action === 'throw') throw new Error(`A planned fault at ${point}`)
    if (fault.action === 'hang') await this.#release.promise
  }
}

/** Ends the process of a domain by SIGKILL; returns when it is dead. */
export async function killDomain(socketDir: string, uuid: string): Promise<void> {
  for (const pid of processesNaming(join(socketDir, 'domains', uuid))) await killNow(pid)
}

/** Ends the embedded PostgreSQL and all its backends by SIGKILL; returns when they are dead. */
export async function killPostgres(stateDir: string): Promise<void> {
  for (const pid of signalPostgres(stateDir, 'SIGKILL')) await hasEnded(pid, 5_000)
}

/** Sends a signal to the embedded PostgreSQL and all its backends; gives their pids. */
export function signalPostgres(stateDir: string, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): number[] {
  const postmasters = processesNaming(join(stateDir, 'postgresql'))
  const family = postmasters.flatMap((pid) => [pid, ...childrenOf(pid)])
  for (const pid of family) signalNow(pid, signal)
  return family
}

function childrenOf(parent: number): number[] {
  const text = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}

async function killNow(pid: number): Promise<void> {
  signalNow(pid, 'SIGKILL')
  await hasEnded(pid, 5_000)
}

function signalNow(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended already.
  }
}
