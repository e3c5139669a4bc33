import { kill } from 'node:process'
import { readdirSync, readlinkSync, statSync } from 'node:fs'
import type { ProcessIdentity } from '../driver/driver.ts'
import type { ExecutableFile, ProcessTable, ProcessUsage } from '../driver/host-facts.ts'
import { type ReadHostText, readHostText } from './read-host-text.ts'

// USER_HZ, the unit of /proc/PID/stat: 100 on every architecture that QEMU serves as a host.
const tickNs = 10_000_000n

/** States of /proc/PID/stat in which nothing runs any more: zombie, dead. */
const deadStates = new Set(['Z', 'X', 'x'])
/** Stopped by a signal. A tracer's stops (`t`) are over in a moment and say nothing. */
const stoppedState = 'T'

/** The fields of /proc/PID/stat that are used here. */
export interface ProcessStat {
  readonly state: string
  readonly userTicks: bigint
  readonly systemTicks: bigint
  readonly startTicks: bigint
}

/** Reads a line of /proc/PID/stat; null when it is not one. The command stands in parentheses and may contain any character, `)` included. */
export function parseProcessStat(text: string): ProcessStat | null {
  const fields = text
    .slice(text.lastIndexOf(')') + 1)
    .trim()
    .split(/\s+/)
  // The first field behind the command is number 3 in proc(5).
  const [state, userTicks, systemTicks, startTicks] = [fields[0], fields[11], fields[12], fields[19]]
  if (state === undefined || userTicks === undefined || systemTicks === undefined || startTicks === undefined)
    return null
  if (![userTicks, systemTicks, startTicks].every((field) => /^\d+$/.test(field))) return null
  return { state, userTicks: BigInt(userTicks), systemTicks: BigInt(systemTicks), startTicks: BigInt(startTicks) }
}

/** The processes of this machine by /proc. */
export class LocalProcesses implements ProcessTable {
  readonly #read: ReadHostText
  #bootId: string | null = null

  constructor(read: ReadHostText = readHostText) {
    this.#read = read
  }

  bootId(): string {
    this.#bootId ??= this.#read('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown'
    return this.#bootId
  }

  list(): readonly number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
  }

  commandLine(pid: number): readonly string[] {
    const text = this.#read(`/proc/${pid}/cmdline`) ?? ''
    return text === '' ? [] : text.replace(/\0$/, '').split('\0')
  }

  find(pid: number): ProcessIdentity | null {
    const stat = this.#living(pid)
    return stat === null ? null : { pid, startTicks: stat.startTicks, bootId: this.bootId() }
  }

  isAlive(process: ProcessIdentity): boolean {
    return this.#same(process) !== null
  }

  isStopped(process: ProcessIdentity): boolean {
    const stat = this.#same(process)
    return stat !== null && stat.state === stoppedState
  }

  executable(pid: number): ExecutableFile | null {
    const link = `/proc/${pid}/exe`
    try {
      const stats = statSync(link, { bigint: true })
      return {
        path: readlinkSync(link),
        device: stats.dev,
        inode: stats.ino,
        sizeBytes: stats.size,
        ctimeNs: stats.ctimeNs,
      }
    } catch {
      return null
    }
  }

  usage(process: ProcessIdentity): ProcessUsage | null {
    const stat = this.#same(process)
    if (stat === null) return null
    // VmRSS of `status` is in kB; `statm` counts pages, whose size Node does not tell.
    const resident = /^VmRSS:\s+(\d+) kB$/m.exec(this.#read(`/proc/${process.pid}/status`) ?? '')?.[1] ?? '0'
    return {
      userTimeNs: stat.userTicks * tickNs,
      systemTimeNs: stat.systemTicks * tickNs,
      residentBytes: BigInt(resident) * 1024n,
    }
  }

  // Between the comparison and the signal the pid could be reused in theory; Node has no pidfd, and the kernel hands out pids in turn.
  signal(process: ProcessIdentity, signal: 'SIGTERM' | 'SIGKILL'): boolean {
    if (!this.isAlive(process)) return false
    try {
      kill(process.pid, signal)
      return true
    } catch (error) {
      if (!this.isAlive(process)) return false
      throw error
    }
  }

  #same({ pid, startTicks, bootId }: ProcessIdentity): ProcessStat | null {
    if (bootId !== this.bootId()) return null
    const stat = this.#living(pid)
    return stat?.startTicks === startTicks ? stat : null
  }

  #living(pid: number): ProcessStat | null {
    const text = this.#read(`/proc/${pid}/stat`)
    const stat = text === null ? null : parseProcessStat(text)
    return stat === null || deadStates.has(stat.state) ? null : stat
  }
}
