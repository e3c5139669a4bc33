import type pg from 'pg'
import { BoundedMap } from './bounded-map.ts'
import type { BlobReader } from './event-store-options.ts'
import type { Amount } from './event-store-stats.ts'

/** Reads big texts by their hash, the last used from memory. */
export class BlobReads implements BlobReader {
  readonly #pool: pg.Pool
  readonly #cache: BoundedMap<string, Uint8Array>

  constructor(pool: pg.Pool, { cachedBytes }: { readonly cachedBytes: number }) {
    this.#pool = pool
    this.#cache = new BoundedMap(cachedBytes)
  }

  async read(sha256: string): Promise<Uint8Array> {
    const cached = this.#cache.get(sha256)
    if (cached !== undefined) return cached
    const { rows } = await this.#pool.query<{ bytes: Buffer }>({
      name: 'blob',
      text: `select bytes from blob where sha256 = decode($1::text, 'hex')`,
      values: [sha256],
    })
    const bytes = rows[0]?.bytes
    if (bytes === undefined) throw new Error(`Cannot read the big text "${sha256}": the log has none of that name`)
    this.#cache.set(sha256, bytes, bytes.length)
    return bytes
  }

  /** What is kept in memory. */
  get cached(): Amount {
    return { count: this.#cache.size, bytes: this.#cache.weight }
  }

  /** Forgets a text that was erased. */
  forget(sha256: string): void {
    this.#cache.delete(sha256)
  }
}
