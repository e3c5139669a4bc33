import { closeSync, openSync, readSync } from 'node:fs'

/** Reads a small text of /proc, /sys or /etc; null when it is not there or not readable. Injected, so that recorded machines can be read. */
export type ReadHostText = (path: string) => string | null

// /proc/cpuinfo has about 2 KiB for each CPU; 16 MiB hold 8192 of them.
const maxBytes = 16 * 1024 * 1024
const pieceBytes = 65_536

/** Reads this machine's files. Files of /proc state no size, so they are read to their end. */
export const readHostText: ReadHostText = (path) => {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch {
    return null
  }
  try {
    const pieces: Buffer[] = []
    let total = 0
    for (;;) {
      const piece = Buffer.alloc(pieceBytes)
      const length = readSync(descriptor, piece)
      if (length === 0) return Buffer.concat(pieces, total).toString('utf8')
      pieces.push(piece.subarray(0, length))
      total += length
      if (total > maxBytes) return null
    }
  } catch {
    return null
  } finally {
    closeSync(descriptor)
  }
}
