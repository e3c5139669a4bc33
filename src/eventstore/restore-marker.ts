import { existsSync } from 'node:fs'
import { open, readFile, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'

const fileName = 'restore.unfinished'

/** How the directory of a restore's socket is called, so that nothing else is removed by mistake. */
export const restorePrefix = 'chronovisor-restore-'

/** Whether a restore into a state directory was begun and has not come to its end. */
export function hasUnfinishedRestore(stateDir: string): boolean {
  return existsSync(join(stateDir, fileName))
}

/** Throws where a daemon must not start, since it would make a log of its own beside one that is only half there. */
export function refuseUnfinishedRestore(stateDir: string): void {
  if (!hasUnfinishedRestore(stateDir)) return
  throw new Error(
    `Cannot start: a restore into "${stateDir}" was cut off; run it again (it begins anew), or remove ` +
      `"${join(stateDir, fileName)}" and "${join(stateDir, 'postgresql')}" to begin with an empty log`,
  )
}

/** Says, on disk, that a restore has begun, and in which directory its server has its socket. */
export async function beginRestore(stateDir: string, socketDir: string): Promise<void> {
  await using file = await open(join(stateDir, fileName), 'w', 0o644)
  await file.writeFile(`${socketDir}\n`)
  await file.sync()
}

/** Says that it is done, or that nothing of it is left: the directory of its socket goes first. */
export async function endRestore(stateDir: string): Promise<void> {
  const path = join(stateDir, fileName)
  const socketDir = (await readFile(path, 'utf8').catch(() => '')).trim()
  if (basename(socketDir).startsWith(restorePrefix)) await rm(socketDir, { recursive: true, force: true })
  await rm(path, { force: true })
}
