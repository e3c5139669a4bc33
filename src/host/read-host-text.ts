import { closeSync, existsSync, openSync, readSync } from 'node:fs'

/**
 * Reads a small text of /proc, /sys or /etc; null when it is not there or not readable. With `firstBytes` about as much of its start
 * is enough. Injected, so that recorded machines can be read.
 */
export type ReadHostText = (path: string, firstBytes?: number) => string | null

// /proc/cpuinfo has about 2 KiB for each CPU; 16 MiB hold 8192 of them.
const maxBytes = 16 * 1024 * 1024
/** Read into again and again: nothing else runs between a read and the copy of what was read. */
const piece = Buffer.alloc(65_536)

/** Reads this machine's files. Files of /proc state no size, so they are read to their end. */
export const readHostText: ReadHostText = (path, firstBytes) => {
  // Most of what is asked for on any one machine is not there, and an exception costs twenty times this look.
  if (!existsSync(path)) return null
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch {
    return null
  }
  try {
    return readAll(descriptor, firstBytes)
  } catch {
    return null
  } finally {
    closeSync(descriptor)
  }
}

function readAll(descriptor: number, firstBytes: number | undefined): string | null {
  const pieces: Buffer[] = []
  let total = 0
  while (total < (firstBytes ?? maxBytes + 1)) {
    const length = readSync(descriptor, piece, 0, Math.min(piece.length, firstBytes ?? piece.length), null)
    if (length === 0) break
    pieces.push(Buffer.from(piece.subarray(0, length)))
    total += length
  }
  return total > maxBytes ? null : Buffer.concat(pieces, total).toString('utf8')
}
