import { parseDomain } from '../conf/parse-domain.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import type { BlobReader } from '../eventstore/event-store-options.ts'

/** Texts that are read from the log at the same time. */
const parallelLoads = 8

/** Bounds of the memory that texts may take. */
export interface TextLimits {
  readonly maxBytes: number
  readonly maxParsed: number
}

/**
 * Content-addressed texts in memory, least recently used first out. Those that the live view needs are loaded at the
 * start, so that reads of current definitions neither wait nor need the log.
 */
export class Texts {
  readonly #texts = new Map<string, string>()
  readonly #parsed = new Map<string, DomainDef>()
  readonly #blobs: BlobReader
  readonly #limits: TextLimits
  #bytes = 0

  constructor(blobs: BlobReader, limits: TextLimits) {
    this.#blobs = blobs
    this.#limits = limits
  }

  /** Remembers a text that was just recorded. */
  keep(sha256: string, text: string): void {
    if (this.#texts.has(sha256)) return
    this.#texts.set(sha256, text)
    this.#bytes += text.length
    for (const [oldest, old] of this.#texts) {
      if (this.#bytes <= this.#limits.maxBytes) return
      this.#texts.delete(oldest)
      this.#bytes -= old.length
    }
  }

  /** The text of a hash: at once where it is in memory. */
  get(sha256: string): string | Promise<string> {
    const text = this.#texts.get(sha256)
    if (text === undefined) return this.#load(sha256)
    this.#texts.delete(sha256)
    this.#texts.set(sha256, text)
    return text
  }

  /** The definition that a stored text says; parsed once. */
  async definition(sha256: string): Promise<DomainDef> {
    const known = this.#parsed.get(sha256)
    if (known !== undefined) return known
    const definition = parseDomain(await this.get(sha256))
    this.keepDefinition(sha256, definition)
    return definition
  }

  /** Remembers what a text says, so that it need not be parsed again. */
  keepDefinition(sha256: string, definition: DomainDef): void {
    this.#parsed.set(sha256, definition)
    for (const oldest of this.#parsed.keys()) {
      if (this.#parsed.size <= this.#limits.maxParsed) return
      this.#parsed.delete(oldest)
    }
  }

  /** Brings texts into memory, a bounded number at a time. */
  async load(hashes: readonly string[]): Promise<void> {
    const waiting = hashes.filter((hash) => !this.#texts.has(hash))
    const workers = Array.from({ length: parallelLoads }, async () => {
      for (let hash = waiting.pop(); hash !== undefined; hash = waiting.pop()) await this.#load(hash)
    })
    await Promise.all(workers)
  }

  async #load(sha256: string): Promise<string> {
    const text = Buffer.from(await this.#blobs.read(sha256)).toString('utf8')
    this.keep(sha256, text)
    return text
  }
}
