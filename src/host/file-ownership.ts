import type { BigIntStats } from 'node:fs'
import { chmod, lchown, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ProcessUser } from '../driver/host-facts.ts'
import type { OwnershipChange } from '../driver/images.ts'
import { Fault } from '../util/fault.ts'
import { allows } from './file-access.ts'
import { checkRegular, explain } from './image-file.ts'

const modeBits = 0o7777n

/** A file that the QEMU user must be able to use. */
export interface WantedFile {
  readonly path: string
  readonly write: boolean
}

/**
 * The changes of owner that let the QEMU user use these files; nothing is changed, and files that it can use already need none.
 * Throws Fault naming a file that even its owner could not use so, or the directory that the user cannot pass through.
 */
export async function planAccess(
  wanted: readonly WantedFile[],
  user: ProcessUser,
): Promise<readonly OwnershipChange[]> {
  const changes: OwnershipChange[] = []
  for (const [path, write] of strongestUse(wanted)) {
    const change = await planFile(path, { write, user })
    if (change !== null) changes.push(change)
  }
  return changes
}

/** Makes planned changes of owner, all or none. A file that somebody gave to a third user since the plan is refused. */
export async function grantFiles(changes: readonly OwnershipChange[]): Promise<void> {
  const done: OwnershipChange[] = []
  try {
    for (const change of changes) {
      await grantFile(change)
      done.push(change)
    }
  } catch (error) {
    await restoreFiles(done)
    throw error
  }
}

/**
 * Gives files back to their owners; a file that is gone, or was given to somebody else meanwhile, is left alone.
 * Tries all, then throws Fault naming those that failed.
 */
export async function restoreFiles(changes: readonly OwnershipChange[]): Promise<void> {
  const failures: string[] = []
  for (const change of changes.toReversed()) {
    try {
      await restoreFile(change)
    } catch (error) {
      failures.push(`"${change.path}" (${error instanceof Error ? error.message : String(error)})`)
    }
  }
  if (failures.length > 0) throw new Fault('system', `Cannot give files back to their owners: ${failures.join(', ')}`)
}

async function restoreFile(change: OwnershipChange): Promise<void> {
  const real = await realpath(change.path).catch(() => null)
  const stats = real === null ? null : await stat(real, { bigint: true }).catch(() => null)
  if (real === null || stats === null) return
  if (stats.uid !== BigInt(change.toUid) || stats.gid !== BigInt(change.toGid)) return
  await lchown(real, change.fromUid, change.fromGid)
  // A change of owner clears the set-user-id bits.
  if (change.fromMode !== Number(stats.mode & modeBits)) await chmod(real, change.fromMode)
}

/** Throws Fault naming the first directory on the way to a path that a user cannot pass through. */
export async function checkTraversable(
  realPath: string,
  { user, action }: { readonly user: ProcessUser; readonly action: string },
): Promise<void> {
  const directories: string[] = []
  for (let at = dirname(realPath); ; at = dirname(at)) {
    directories.unshift(at)
    if (at === dirname(at)) break
  }
  for (const directory of directories) {
    const stats = await stat(directory, { bigint: true })
    if (allows(stats, user, 'traverse')) continue
    const mode = (stats.mode & modeBits).toString(8).padStart(4, '0')
    const state = `the QEMU user (uid ${user.uid}, gid ${user.gid}) cannot pass through directory "${directory}" (mode ${mode})`
    throw new Fault('operation_failed', `Cannot ${action}: ${state}; "chmod o+x" or another directory would help`, {
      subject: directory,
    })
  }
}

async function planFile(
  path: string,
  { write, user }: { readonly write: boolean; readonly user: ProcessUser },
): Promise<OwnershipChange | null> {
  const action = `let QEMU ${write ? 'write' : 'read'} "${path}"`
  try {
    const real = await realpath(path)
    await checkTraversable(real, { user, action })
    const stats = await stat(real, { bigint: true })
    checkRegular(stats, { path, action })
    const use = write ? 'write' : 'read'
    if (allows(stats, user, use)) return null
    checkOwnerBits(stats, { action, user, use })
    return changeOf(path, { stats, user })
  } catch (error) {
    throw explain(error, { path, action })
  }
}

async function grantFile({ path, fromUid, fromGid, toUid, toGid }: OwnershipChange): Promise<void> {
  const action = `give "${path}" to the QEMU user`
  try {
    const real = await realpath(path)
    const { uid, gid } = await stat(real)
    if (uid === toUid && gid === toGid) return
    if (uid !== fromUid || gid !== fromGid) {
      const state = `it belongs to ${uid}:${gid} now, it belonged to ${fromUid}:${fromGid} when the change was planned`
      throw new Fault('operation_failed', `Cannot ${action}: ${state}`, { subject: path })
    }
    // Not through an open file: opening counts as opening an image. A link put here meanwhile would itself change owner, not its target.
    await lchown(real, toUid, toGid)
  } catch (error) {
    throw explain(error, { path, action })
  }
}

function checkOwnerBits(
  stats: BigIntStats,
  { action, user, use }: { readonly action: string; readonly user: ProcessUser; readonly use: 'read' | 'write' },
): void {
  const asOwner = { mode: stats.mode, uid: BigInt(user.uid), gid: BigInt(user.gid) }
  if (allows(asOwner, user, use)) return
  const mode = (stats.mode & modeBits).toString(8).padStart(4, '0')
  throw new Fault('operation_failed', `Cannot ${action}: its mode ${mode} does not let even its owner ${use} it`)
}

function changeOf(
  path: string,
  { stats, user }: { readonly stats: BigIntStats; readonly user: ProcessUser },
): OwnershipChange {
  return {
    path,
    fromUid: Number(stats.uid),
    fromGid: Number(stats.gid),
    fromMode: Number(stats.mode & modeBits),
    toUid: user.uid,
    toGid: user.gid,
  }
}

function strongestUse(wanted: readonly WantedFile[]): ReadonlyMap<string, boolean> {
  const uses = new Map<string, boolean>()
  for (const { path, write } of wanted) uses.set(path, write || uses.get(path) === true)
  return uses
}
