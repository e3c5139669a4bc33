import { constants } from 'node:fs'
import { access, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Where emulators are looked for. */
export const defaultEmulatorDirectories = ['/usr/bin', '/usr/local/bin', '/usr/libexec'] as const

const emulatorName = /^(?:qemu-system-[a-z0-9_]+|qemu-kvm)$/

/** Below libexec distributions keep what is not to be run by name: Debian the i386 emulator behind its wrapper in /usr/bin. */
const namesIn = (directory: string): RegExp => (directory.endsWith('/libexec') ? /^qemu-kvm$/ : emulatorName)

/** Paths of the emulators in these directories, sorted; none of them is run. */
export async function findEmulators(directories: readonly string[]): Promise<readonly string[]> {
  const found: string[] = []
  for (const directory of directories) {
    const names = await readdir(directory).catch(() => [])
    for (const name of names) {
      if (!namesIn(directory).test(name)) continue
      const path = join(directory, name)
      const executable = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
      if (executable) found.push(path)
    }
  }
  return found.toSorted()
}
