import { constants } from 'node:fs'
import { type FileHandle, open, readlink, realpath, stat } from 'node:fs/promises'
import type { BigIntStats } from 'node:fs'
import type { FileIdentity } from '../driver/images.ts'
import { headerBytesNeeded } from '../image/image-header.ts'
import { Fault } from '../util/fault.ts'

/** The first bytes of an image file and the identity of the file they were read from. */
export interface ImageFileStart {
  /** Path without symbolic links, as the kernel knows the open file. */
  readonly realPath: string
  readonly bytes: Uint8Array
  readonly file: FileIdentity
}

/** Identity of a file out of its stat. */
export function identityOf(stats: BigIntStats): FileIdentity {
  return { device: stats.dev, inode: stats.ino, sizeBytes: stats.size, mtimeNs: stats.mtimeNs, ctimeNs: stats.ctimeNs }
}

/**
 * Reads the first bytes of a regular file. Anything else is refused before it is opened, because opening a device can act on it and opening
 * a FIFO can wait; the open file is then compared with what was looked at, so that a link exchanged in between is noticed.
 * Throws Fault with `action` in front.
 */
export async function readImageStart(path: string, { action }: { readonly action: string }): Promise<ImageFileStart> {
  try {
    const realPath = await realpath(path)
    const before = await stat(realPath, { bigint: true })
    checkRegular(before, { path, action })
    const handle = await open(
      realPath,
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY,
    )
    try {
      return await readOpened(handle, { path, action, realPath, before })
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw explain(error, { path, action })
  }
}

/** Throws Fault unless this is a regular file. */
export function checkRegular(
  stats: BigIntStats,
  { path, action }: { readonly path: string; readonly action: string },
): void {
  if (stats.isFile()) return
  throw new Fault('operation_failed', `Cannot ${action}: "${path}" is ${kindOf(stats)}, it must be a regular file`, {
    subject: path,
  })
}

/** Turns an error of the file system into a Fault that names action and path; a Fault stays as it is. */
export function explain(error: unknown, { path, action }: { readonly path: string; readonly action: string }): unknown {
  if (!(error instanceof Error) || error instanceof Fault || !('code' in error)) return error
  const why = fileErrors[String(error.code)] ?? error.message
  return new Fault('operation_failed', `Cannot ${action}: "${path}" ${why}`, { cause: error, subject: path })
}

const fileErrors: Readonly<Record<string, string>> = {
  EACCES: 'cannot be accessed: permission denied',
  EEXIST: 'exists already',
  EISDIR: 'is a directory',
  ELOOP: 'is a symbolic link that leads nowhere, or was exchanged while it was opened',
  ENOENT: 'does not exist',
  ENOSPC: 'cannot be written: no space is left on its file system',
  ENOTDIR: 'lies below something that is not a directory',
  EROFS: 'lies on a read-only file system',
}

interface Looked {
  readonly path: string
  readonly action: string
  readonly realPath: string
  readonly before: BigIntStats
}

async function readOpened(handle: FileHandle, { path, action, realPath, before }: Looked): Promise<ImageFileStart> {
  const stats = await handle.stat({ bigint: true })
  checkRegular(stats, { path, action })
  // The kernel's own word on what was opened: a directory of the path may have been exchanged for a link.
  const opened = await readlink(`/proc/self/fd/${handle.fd}`)
  if (stats.dev !== before.dev || stats.ino !== before.ino || opened !== realPath) {
    throw new Fault('operation_failed', `Cannot ${action}: "${path}" was exchanged while it was opened`, {
      subject: path,
    })
  }
  const bytes = new Uint8Array(headerBytesNeeded)
  let length = 0
  while (length < bytes.length) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return { realPath, bytes: bytes.subarray(0, length), file: identityOf(stats) }
}

function kindOf(stats: BigIntStats): string {
  if (stats.isDirectory()) return 'a directory'
  if (stats.isFIFO()) return 'a FIFO'
  if (stats.isSocket()) return 'a socket'
  if (stats.isBlockDevice()) return 'a block device'
  return 'a character device'
}
