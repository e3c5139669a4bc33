import type { RunningDaemon } from '../support/running-daemon.ts'

/** What must be clean after everything that the story did: the read models against the log, the invariants, the caps audit. */
const checks = [
  ['replay', '--check'],
  ['check', '--all'],
  ['caps', 'audit'],
] as const

/** Checks the log of a daemon by its own command line; gives one text per check that found something or failed. */
export async function checkLog(daemon: RunningDaemon): Promise<readonly string[]> {
  const failures: string[] = []
  for (const words of checks) {
    const { status, out, err } = await daemon.cli(...words)
    if (status !== 0)
      failures.push(`chronovisor ${words.join(' ')} ended with ${status}: ${`${out}${err}`.trim().slice(0, 2_000)}`)
  }
  return failures
}
