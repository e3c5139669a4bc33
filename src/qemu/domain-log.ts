import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'

const rotateAtBytes = 1024 * 1024
const tailBytes = 4096
// NAME_MAX less the endings.
const maxNameBytes = 240

/** The log of one run of a domain: what QEMU writes, behind a line that says what was started. */
export interface DomainLog extends AsyncDisposable {
  readonly path: string
  readonly descriptor: number
  /** The last words written since it was opened, one line each, without their time stamps; empty when there are none. */
  tail(): Promise<string>
}

/**
 * Opens a domain's log for appending. QEMU gets the open file, so the log belongs to the daemon and a guest that took over its QEMU can neither replace nor
 * shorten it. A log over 1 MiB is set aside first as `.old`.
 */
export async function openDomainLog(
  directory: string,
  { name, uuid, headline }: { readonly name: string; readonly uuid: string; readonly headline: string },
): Promise<DomainLog> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const stem = Buffer.byteLength(name) > maxNameBytes ? uuid : name
  const path = join(directory, `${stem}.log`)
  const handle = await openRotated(path)
  await handle.appendFile(`${headline}\n`)
  const { size: start } = await handle.stat()
  return {
    path,
    descriptor: handle.fd,
    tail: async () => await readTail(handle, start),
    async [Symbol.asyncDispose]() {
      await handle.close()
    },
  }
}

async function openRotated(path: string): Promise<FileHandle> {
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW
  const handle = await open(path, flags, 0o600)
  if ((await handle.stat()).size <= rotateAtBytes) return handle
  await handle.close()
  await rename(path, `${path}.old`)
  return await open(path, flags, 0o600)
}

async function readTail(handle: FileHandle, start: number): Promise<string> {
  const { size } = await handle.stat()
  const from = Math.max(start, size - tailBytes)
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(Math.max(0, size - from)), { position: from })
  const lines = buffer.toString('utf8', 0, bytesRead).split('\n')
  // "2026-01-01T00:00:00.000000Z qemu-system-x86_64: ..." by -msg timestamp=on.
  return lines
    .map((line) => line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z /, '').trim())
    .filter((line) => line !== '')
    .join('; ')
}
