import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

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
      const stats = fstatSync(descriptor, { bigint: true })
      const key = [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join('/')
      const known = this.#memos.get(key)
      if (known !== undefined) return known
      const hash = hashOf(descriptor)
      const [oldest] = this.#memos.keys()
      if (this.#memos.size >= maxMemos && oldest !== undefined) this.#memos.delete(oldest)
      this.#memos.set(key, hash)
      return hash
    } finally {
      closeSync(descriptor)
    }
  }
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
