import { accessSync, constants, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Where emulators are looked for. */
export const defaultEmulatorDirectories = ['/usr/bin', '/usr/local/bin', '/usr/libexec'] as const

const emulatorName = /^(?:qemu-system-[a-z0-9_]+|qemu-kvm)$/

/** Below libexec distributions keep what is not to be run by name: Debian the i386 emulator behind its wrapper in /usr/bin. */
const namesIn = (directory: string): RegExp => (directory.endsWith('/libexec') ? /^qemu-kvm$/ : emulatorName)

/** The time that a file system stamps a change with may be a timer tick old. */
const stampMs = 100

/** Emulators by their directories; a directory is listed again when it has changed: some have thousands of names. */
export class EmulatorDirectories {
  readonly #directories: readonly string[]
  readonly #listed = new Map<string, { readonly stamp: string; readonly names: readonly string[] }>()

  constructor(directories: readonly string[] = defaultEmulatorDirectories) {
    this.#directories = directories
  }

  /** Paths of the emulators that are there and may be executed, sorted; none of them is run. */
  find(): readonly string[] {
    const paths = this.#directories.flatMap((directory) => this.#names(directory).map((name) => join(directory, name)))
    return paths.filter(isExecutable).toSorted()
  }

  #names(directory: string): readonly string[] {
    const stats = statSync(directory, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) return []
    const stamp = `${stats.dev}/${stats.ino}/${stats.mtimeNs}/${stats.ctimeNs}`
    const known = this.#listed.get(directory)
    if (known?.stamp === stamp) return known.names
    const names = namesOf(directory).filter((name) => namesIn(directory).test(name))
    // A change within the same tick as this one would leave the stamp as it is.
    const isSettled = Date.now() - Number(stats.ctimeNs / 1_000_000n) > stampMs
    if (isSettled) this.#listed.set(directory, { stamp, names })
    else this.#listed.delete(directory)
    return names
  }
}

function namesOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch {
    return [] // no directory, or not ours to read
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
