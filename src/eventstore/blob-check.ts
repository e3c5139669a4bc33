import type { EventRow } from './event-row.ts'
import type { LogFindings } from './log-finding.ts'
import { fieldsOf, type LogSource } from './log-tables.ts'
import { sha256 } from './sha256.ts'

const noData = Buffer.alloc(0)

/** The hashes in an event's data that name big texts; null where that is not known of its type. */
export type BlobNames = (type: string, data: Uint8Array) => readonly string[] | null

/** What the check of the big texts came to. */
export interface BlobCounts {
  readonly blobs: number
  /** Texts that no event names; null where it is not known of every type which texts its events name. */
  readonly unnamed: number | null
}

/** Compares the big texts with their names, and with the names in the events. */
export class BlobCheck {
  readonly #findings: LogFindings
  readonly #blobNames: BlobNames | null
  /** Hashes that name a text for certain, with the first event that does. */
  readonly #named = new Map<string, bigint>()
  #isComplete = true

  constructor(findings: LogFindings, blobNames: BlobNames | null) {
    this.#findings = findings
    this.#blobNames = blobNames
  }

  /** Notes the texts that an event names. */
  take(event: EventRow, type: string): void {
    const names = this.#blobNames?.(type, event.data ?? noData) ?? null
    if (names === null) {
      this.#isComplete = false
      return
    }
    for (const name of names) if (!this.#named.has(name)) this.#named.set(name, BigInt(event.position))
  }

  /** Reads the texts. */
  async finish(source: LogSource): Promise<BlobCounts> {
    const rows = source.rows('blob')
    if (rows === null) return { blobs: 0, unnamed: 0 }
    const missing = new Map(this.#named)
    const wrong: { readonly key: string; readonly real: string }[] = []
    let [blobs, unnamed] = [0, 0]
    for await (const page of rows) {
      for (const row of page) {
        const [name, bytes] = fieldsOf(row, 2)
        if (!name || !bytes) throw new RangeError('a row of table blob has a null')
        const [key, real] = [name.toString('hex'), sha256(bytes).toString('hex')]
        blobs += 1
        if (key !== real) wrong.push({ key, real })
        else if (!missing.delete(key) && !this.#named.has(key)) unnamed += 1
      }
    }
    for (const { key, real } of wrong) this.#reportWrong(key, { real, missing })
    for (const [key, position] of missing) {
      const text = `the big text ${key}, which event @${position} names, is missing`
      this.#findings.add({ table: 'blob', key, columns: ['sha256'], position, text })
    }
    return { blobs, unnamed: this.#isComplete ? unnamed : null }
  }

  /** Either the name or the text was changed: that name of the two which the events know is the right one. */
  #reportWrong(key: string, { real, missing }: { readonly real: string; readonly missing: Map<string, bigint> }): void {
    const knows = (hash: string) => this.#named.has(hash)
    const position = missing.get(real) ?? missing.get(key) ?? null
    missing.delete(real)
    missing.delete(key)
    if (!knows(key) && (knows(real) || differsInOneBit(key, real))) {
      const text = `the big text ${real} has the name ${key}`
      this.#findings.add({ table: 'blob', key, columns: ['sha256'], position, text })
    } else {
      const columns = knows(key) ? ['bytes'] : ['sha256', 'bytes']
      this.#findings.add({ table: 'blob', key, columns, position, text: `the big text ${key} has the SHA-256 ${real}` })
    }
  }
}

function differsInOneBit(a: string, b: string): boolean {
  return oneBitApart(Buffer.from(a, 'hex'), Buffer.from(b, 'hex'))
}

/** Whether two rows of bytes differ in exactly one bit. */
export function oneBitApart(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (const [at, byte] of a.entries()) {
    const bits = byte ^ (b[at] ?? 0)
    if (bits === 0) continue
    if (difference !== 0 || (bits & (bits - 1)) !== 0) return false
    difference = bits
  }
  return difference !== 0
}
