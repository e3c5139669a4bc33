import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Whether a process runs: one that has ended and was not reaped yet does not. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  } catch {
    return false
  }
}

/** Running processes that name `directory` on their command line: everything that was started to work in it. */
export function processesNaming(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && commandLine(pid).includes(directory) && isRunning(pid))
}

/** The words of a process's command line, joined by spaces; empty where it is gone. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** Waits until a process has ended; true if it did within the time. */
export async function hasEnded(pid: number, limitMs: number): Promise<boolean> {
  const deadline = performance.now() + limitMs
  while (isRunning(pid)) {
    if (performance.now() > deadline) return false
    await sleep(10)
  }
  return true
}

/** Ends a process politely, then by force; a stopped one is continued first, as it would not hear. */
export async function endProcess(pid: number, politeMs = 3_000): Promise<void> {
  signal(pid, 'SIGCONT')
  signal(pid, 'SIGTERM')
  if (await hasEnded(pid, politeMs)) return
  signal(pid, 'SIGKILL')
  await hasEnded(pid, 5_000)
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended already.
  }
}
