import type { LogFindings } from './log-finding.ts'
import { fieldsOf, type LogSource } from './log-tables.ts'

/** Compares the edges of the tree that earlier versions stored with those of the tree as it is recomputed. */
export class EdgeCheck {
  readonly #findings: LogFindings
  readonly #edges = new Map<bigint, Buffer>()

  private constructor(findings: LogFindings) {
    this.#findings = findings
  }

  static async load(source: LogSource, findings: LogFindings): Promise<EdgeCheck> {
    const check = new EdgeCheck(findings)
    for await (const page of source.rows('tree_edge') ?? []) {
      for (const row of page) {
        const [size, hashes] = fieldsOf(row, 2)
        if (!size || !hashes) throw new RangeError('a row of table tree_edge has a null')
        check.#edges.set(size.readBigInt64BE(), Buffer.from(hashes))
      }
    }
    return check
  }

  compare(size: bigint, edge: () => Uint8Array): void {
    const stored = this.#edges.get(size)
    if (stored === undefined) return
    this.#edges.delete(size)
    if (Buffer.compare(stored, edge()) !== 0) this.#add(size, 'hashes')
  }

  /** Tells of edges at sizes at which no commit ends; those before `from` were not compared. */
  finish(from: bigint): void {
    for (const size of this.#edges.keys()) if (size >= from) this.#add(size, 'size')
  }

  #add(size: bigint, column: string): void {
    const text = `the tree edge at size ${size} is not that of the events`
    this.#findings.add({ table: 'tree_edge', key: String(size), columns: [column], position: null, text })
  }
}
