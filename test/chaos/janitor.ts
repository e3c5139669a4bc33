// Clears up after a run that was killed: once the pipe to its standard input ends, ends every process that names the run's directory on
// its command line and removes the directory. After an orderly end there is nothing left to do.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasEnded, processesNaming } from '../support/end-processes.ts'

const directory = process.argv[2] ?? ''
if (!/^\/.*\/chaos-[^/]+$/.test(directory))
  throw new Error(`Cannot clear up "${directory}": it is not the directory of a run`)
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => undefined)
await new Promise<void>((resolve) => process.stdin.on('end', () => resolve()).resume())
for (let rounds = 0; existsSync(directory) && rounds < 20; rounds += 1) {
  for (const pid of processesNaming(directory)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended already.
    }
    await hasEnded(pid, 2_000)
  }
  for (const line of readFileSync('/proc/mounts', 'utf8').split('\n')) {
    const mountPoint = line.split(' ')[1] ?? ''
    if (mountPoint.startsWith(`${directory}/`)) spawnSync('umount', ['-l', mountPoint])
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  await sleep(50)
}
