import { closeSync, openSync, readSync } from 'node:fs'

/**
 * Reads a small text of /proc, /sys or /etc; null when it is not there or not readable. With `firstBytes` about as much of its start
 * is enough. Injected, so that recorded machines can be read.
 */
export type ReadHostText = (path: string, firstBytes?: number) => string | null

// /proc/cpuinfo has about 2 KiB for each CPU; 16 MiB hold 8192 of them.
const maxBytes = 16 * 1024 * 1024
const pieceBytes = 65_536

/** Reads this machine's files. Files of /proc state no size, so they are read to their end. */
export const readHostText: ReadHostText = (path, firstBytes) => {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch {
    return null
  }
  try {
    const pieces: Buffer[] = []
    let total = 0
    while (total < (firstBytes ?? maxBytes + 1)) {
      const piece = Buffer.alloc(Math.min(pieceBytes, firstBytes ?? pieceBytes))
      const length = readSync(descriptor, piece)
      if (length === 0) break
      pieces.push(piece.subarray(0, length))
      total += length
    }
    return total > maxBytes ? null : Buffer.concat(pieces, total).toString('utf8')
  } catch {
    return null
  } finally {
    closeSync(descriptor)
  }
}
