import { chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ProcessUser } from '../driver/host-facts.ts'

/** A directory for one short use, removed with all its contents at the end of it. */
export interface ScratchDirectory extends AsyncDisposable {
  readonly path: string
}

/** Makes a directory that belongs to the QEMU user alone. The parent is made where it is missing, and can be passed through by all. */
export async function scratchDirectory(
  parent: string,
  { prefix, user }: { readonly prefix: string; readonly user: ProcessUser | null },
): Promise<ScratchDirectory> {
  await makeParent(parent)
  const path = await mkdtemp(join(parent, prefix))
  await own(path, user)
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true })
    },
  }
}

/** Makes an empty directory for one domain's sockets, belonging to the QEMU user alone; what a former run left in it is removed. */
export async function freshDirectory(
  path: string,
  { parent, user }: { readonly parent: string; readonly user: ProcessUser | null },
): Promise<void> {
  await makeParent(parent)
  await rm(path, { recursive: true, force: true })
  await mkdir(path, { mode: 0o700 })
  await own(path, user)
}

async function makeParent(parent: string): Promise<void> {
  const made = await mkdir(parent, { recursive: true, mode: 0o711 })
  // Only what was made here: the rights of an existing directory are its owner's choice. mkdir's mode is cut by the umask.
  if (made !== undefined) await chmod(parent, 0o711)
}

async function own(path: string, user: ProcessUser | null): Promise<void> {
  await chmod(path, 0o700)
  if (user !== null) await chown(path, user.uid, user.gid)
}
