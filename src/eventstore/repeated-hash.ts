import { sha256Bytes, sha256Into } from './sha256.ts'

const longestBytes = 1_024

/** SHA-256 of texts that mostly are the same as the one before, as the meta of events that one command makes: comparing is cheaper. */
export class RepeatedHash {
  #last: Buffer | null = null
  readonly #digest = Buffer.alloc(sha256Bytes)

  /** Writes the SHA-256 of `bytes` into `target` at an offset. */
  into(target: Buffer, at: number, bytes: Uint8Array): void {
    if (bytes.length > longestBytes) return sha256Into(target, at, bytes)
    if (this.#last === null || this.#last.length !== bytes.length || this.#last.compare(bytes) !== 0) {
      sha256Into(this.#digest, 0, bytes)
      this.#last = Buffer.from(bytes)
    }
    target.set(this.#digest, at)
  }
}
