import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { ExecutableIdentity } from '../driver/emulator-probe.ts'

const pieceBytes = 1024 * 1024
const maxMemos = 256

/** SHA-256 of files, computed again only when the file's stat differs. */
export class FileHashes {
  readonly #memos = new Map<string, string>()

  /**
   * Lower-case hex. Synchronous, because the check of a capability version must not be interrupted; a file of 20 MB takes about 20 ms, once
   * for each content. Throws what the file system throws.
   */
  sha256(path: string): string {
    const descriptor = openSync(path, 'r')
    try {
      const { dev: device, ino: inode, size: sizeBytes, ctimeNs } = fstatSync(descriptor, { bigint: true })
      const file = { device, inode, sizeBytes, ctimeNs }
      const known = this.#memos.get(keyOf(file))
      if (known !== undefined) return known
      const hash = hashOf(descriptor)
      this.remember(file, hash)
      return hash
    } finally {
      closeSync(descriptor)
    }
  }

  /** Takes a hash that was computed earlier, when the file's stat was this one. */
  remember(file: ExecutableIdentity, sha256: string): void {
    const [oldest] = this.#memos.keys()
    if (this.#memos.size >= maxMemos && oldest !== undefined) this.#memos.delete(oldest)
    this.#memos.set(keyOf(file), sha256)
  }
}

// Whatever changes the content, or the time of its last change, changes the ctime.
function keyOf({ device, inode, sizeBytes, ctimeNs }: ExecutableIdentity): string {
  return `${device}/${inode}/${sizeBytes}/${ctimeNs}`
}

function hashOf(descriptor: number): string {
  const hash = createHash('sha256')
  const piece = Buffer.allocUnsafe(pieceBytes)
  for (;;) {
    const length = readSync(descriptor, piece)
    if (length === 0) return hash.digest('hex')
    hash.update(piece.subarray(0, length))
  }
}
