import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where descriptors of firmware lie: the distribution's, the operator's, the user's; a later one overrules an earlier one of the same name. */
export function defaultFirmwareDirectories(): readonly string[] {
  const config = process.env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config')
  return ['/usr/share/qemu/firmware', '/etc/qemu/firmware', join(config, 'qemu', 'firmware')]
}

/** More than this is no descriptor: distributions ship about 20 of 2 KiB. */
const maxBytes = 1024n * 1024n
const maxFiles = 1000

/** Tells whether the descriptors of firmware have changed; they are read only when a stat differs. */
export class FirmwareDescriptors {
  readonly #directories: readonly string[]
  #memo: { readonly stats: string; readonly hash: string } | null = null

  constructor(directories: readonly string[] = defaultFirmwareDirectories()) {
    this.#directories = directories
  }

  /** Lower-case hex SHA-256 over paths and contents. */
  hash(): string {
    const files = this.#directories.flatMap(descriptorsIn)
    const stats = files.map(({ path, stat }) => `${path} ${stat}`).join('\n')
    if (this.#memo?.stats === stats) return this.#memo.hash
    const whole = createHash('sha256')
    for (const { path } of files) whole.update(`${path}\n`).update(contentOf(path)).update('\n')
    const hash = whole.digest('hex')
    this.#memo = { stats, hash }
    return hash
  }
}

function descriptorsIn(directory: string): readonly { readonly path: string; readonly stat: string }[] {
  if (!existsSync(directory)) return [] // most hosts have none of their own
  let names: readonly string[]
  try {
    names = readdirSync(directory)
  } catch {
    return [] // gone meanwhile, or not ours to read
  }
  const wanted = names.filter((name) => name.endsWith('.json')).toSorted()
  return wanted.slice(0, maxFiles).flatMap((name) => {
    const path = join(directory, name)
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined || !stats.isFile() || stats.size > maxBytes) return []
    return [{ path, stat: `${stats.dev} ${stats.ino} ${stats.size} ${stats.ctimeNs}` }]
  })
}

function contentOf(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0) // gone or not readable: the same as empty
  }
}
