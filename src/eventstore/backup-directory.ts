import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type BackupManifest,
  type BackupFile,
  decodeManifest,
  encodeManifest,
  ManifestError,
  manifestName,
} from './backup-manifest.ts'
import { unfinishedSuffix } from './backup-segment-writer.ts'

const ownName = /^[a-z]+-\d+-\d+-[0-9a-f]{16}\.segment$/

/** The directory is not one for this backup: the message says why. */
export class BackupRefusedError extends Error {
  override readonly name = 'BackupRefusedError'
}

/** The manifest of a directory; null where it has none. Throws {@link ManifestError} where it cannot be believed. */
export async function readManifest(dir: string): Promise<BackupManifest | null> {
  try {
    return decodeManifest(await readFile(join(dir, manifestName)))
  } catch (error) {
    if (isMissing(error)) return null
    if (error instanceof ManifestError) {
      throw new ManifestError(`Cannot use "${join(dir, manifestName)}": ${error.message}`, { cause: error })
    }
    throw error
  }
}

/** The manifest of a backup that must be one. Throws {@link ManifestError}. */
export async function requireManifest(dir: string): Promise<BackupManifest> {
  const manifest = await readManifest(dir)
  if (manifest !== null) return manifest
  throw new ManifestError(
    `Cannot use "${dir}" as a backup: it has no ${manifestName}; a backup that was cut off has none`,
  )
}

/**
 * Makes the directory, or takes one that is empty or holds a backup, and removes what an interrupted backup left. Throws
 * {@link BackupRefusedError} where something else is in it.
 */
export async function openBackupDirectory(dir: string): Promise<BackupManifest | null> {
  // Its parent must be there: a mistyped or unmounted place is not to be made up.
  await mkdir(dir, { mode: 0o700 }).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw refusal(dir, error)
  })
  const manifest = await readManifest(dir)
  const named = new Set(manifest?.files.map(({ name }) => name))
  for (const name of (await readdir(dir)).toSorted()) {
    if (name === manifestName || named.has(name)) continue
    if (name.endsWith(unfinishedSuffix) || ownName.test(name)) await rm(join(dir, name))
    else if (manifest === null) {
      throw new BackupRefusedError(
        `Cannot back up to "${dir}": it holds "${name}" and no backup; name an empty directory`,
      )
    }
  }
  return manifest
}

/** Puts the manifest in the place of the former one: with it, and not before, the files it names are the backup. */
export async function writeManifest(dir: string, manifest: BackupManifest): Promise<void> {
  const path = join(dir, `${manifestName}${unfinishedSuffix}`)
  await syncDirectory(dir) // the files it names have their names for good
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(encodeManifest(manifest))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(path, join(dir, manifestName))
  await syncDirectory(dir)
}

/** Whether a file of a backup is there with every byte that the manifest knows. */
export async function isWhole(dir: string, { name, sizeBytes, sha256 }: BackupFile): Promise<boolean> {
  const path = join(dir, name)
  const found = await stat(path).catch(() => null)
  if (found?.size !== sizeBytes) return false
  const hash = createHash('sha256')
  const stream: AsyncIterable<unknown> = createReadStream(path, { highWaterMark: 1 << 20 })
  for await (const chunk of stream) if (Buffer.isBuffer(chunk)) hash.update(chunk)
  return hash.digest('hex') === sha256
}

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function refusal(dir: string, error: unknown): BackupRefusedError {
  const reason = error instanceof Error ? error.message : String(error)
  return new BackupRefusedError(`Cannot back up to "${dir}": it cannot be made (${reason})`, { cause: error })
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
