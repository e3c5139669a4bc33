import { constants } from 'node:fs'
import { type FileHandle, open, realpath, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { ProcessUser } from '../driver/host-facts.ts'
import type { DetectedLayer, OverlayRequest } from '../driver/images.ts'
import { Fault } from '../util/fault.ts'
import { checkTraversable } from './file-ownership.ts'
import { checkRegular, explain, identityOf } from './image-file.ts'
import { runLimited } from './run-limited.ts'

const timeoutMs = 30_000
const maxMemoryBytes = 1024n * 1024n * 1024n

/** What a creation needs besides the request. */
export interface CreateOverlayOptions {
  readonly signal: AbortSignal
  /** Becomes the owner of the file; null leaves it to the daemon's user. */
  readonly user: ProcessUser | null
  readonly qemuImg: string
}

/**
 * Creates a qcow2 overlay that names its backing file and that file's format, durably, readable by its owner alone. qemu-img runs as the QEMU user on
 * an open file, so it needs no right on the directory, follows no path and opens no backing file. A failure leaves no new file behind.
 */
export async function createOverlay(request: OverlayRequest, options: CreateOverlayOptions): Promise<DetectedLayer> {
  const { path, virtualSizeBytes } = request
  const action = `create overlay "${path}"`
  try {
    // The path of the directory is resolved once; below, only the last name is opened, and never through a link.
    const place = join(await realpath(dirname(path)), basename(path))
    if (options.user !== null) await checkTraversable(place, { user: options.user, action })
    const { handle, isNew } = await openTarget(place, { path, action })
    try {
      await fill(handle, { request, options, action })
      await syncDirectory(dirname(place))
      return { path, format: 'qcow2', virtualSizeBytes, file: identityOf(await handle.stat({ bigint: true })) }
    } catch (error) {
      if (isNew) await unlink(place).catch(() => undefined)
      else await handle.truncate(0)
      throw error
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw explain(error, { path, action })
  }
}

/** Opens a file that is new or empty; one with content is somebody's data. */
async function openTarget(
  place: string,
  { path, action }: { readonly path: string; readonly action: string },
): Promise<{ readonly handle: FileHandle; readonly isNew: boolean }> {
  const flags = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY
  const created = await open(place, flags | constants.O_CREAT | constants.O_EXCL, 0o600).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return null
    throw error
  })
  if (created !== null) return { handle: created, isNew: true }
  const handle = await open(place, flags)
  try {
    const stats = await handle.stat({ bigint: true })
    checkRegular(stats, { path, action })
    if (stats.size !== 0n) {
      const state = `it exists and is not empty (${stats.size} bytes)`
      throw new Fault(
        'operation_invalid',
        `Cannot ${action}: ${state}; only the reuse flag lets an existing file be used`,
        {
          subject: path,
        },
      )
    }
    return { handle, isNew: false }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function fill(
  handle: FileHandle,
  {
    request,
    options,
    action,
  }: { readonly request: OverlayRequest; readonly options: CreateOverlayOptions; readonly action: string },
): Promise<void> {
  const { backing, virtualSizeBytes } = request
  if (options.user !== null) await handle.chown(options.user.uid, options.user.gid)
  await handle.chmod(0o600)
  await runLimited({
    program: options.qemuImg,
    args: [
      'create',
      '-q',
      '-f',
      'qcow2',
      '-u',
      '-b',
      backing.path,
      '-F',
      backing.format,
      '/proc/self/fd/3',
      String(virtualSizeBytes),
    ],
    action,
    user: options.user,
    descriptor: handle.fd,
    timeoutMs,
    maxMemoryBytes,
    signal: options.signal,
  })
  await handle.sync()
}

// The name of a new file is durable only when its directory is.
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
