import { existsSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'

const fileName = 'restore.unfinished'

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

/** Says, on disk, that a restore has begun. */
export async function beginRestore(stateDir: string): Promise<void> {
  await using file = await open(join(stateDir, fileName), 'w', 0o644)
  await file.writeFile(`A restore writes here; no daemon starts until it is done.\n`)
  await file.sync()
}

/** Says that it is done, or that nothing of it is left. */
export async function endRestore(stateDir: string): Promise<void> {
  await rm(join(stateDir, fileName), { force: true })
}
