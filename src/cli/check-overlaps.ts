import { type CheckResult, Findings } from './check-result.ts'

/** A stretch of the log during which somebody held something alone. */
export interface Hold {
  /** What was held: a domain, or a disk of it. */
  readonly what: string
  /** Who held it, for example `command … (DomainStartRequested)`; one holder never competes with itself. */
  readonly holder: string
  readonly from: bigint
  /** Position of its end; null while it lasts. */
  readonly to: bigint | null
  /** Run of the daemon in which it began; what a dead daemon left open holds nothing any more. Null where that ends nothing. */
  readonly epoch: number | null
}

/** I9: at most one exclusive job of a domain, and one block job of a disk, at any time in the history. Takes holds in order of `from`. */
export class OverlapCheck {
  readonly #findings = new Findings()
  readonly #open = new Map<string, readonly Hold[]>()
  #count = 0

  take(hold: Hold): void {
    this.#count++
    const others = (this.#open.get(hold.what) ?? []).filter((one) => one.to === null || one.to > hold.from)
    for (const other of others) {
      if (other.holder !== hold.holder && other.epoch === hold.epoch) {
        const since = `while ${other.holder} lasted since @${other.from}`
        this.#findings.add(`${hold.what}: ${hold.holder} began at @${hold.from}, ${since}`)
      }
    }
    this.#open.set(hold.what, [...others, hold])
  }

  result(): CheckResult {
    const title = 'at most one exclusive job per domain'
    return this.#findings.result({ id: 'I9', title, note: `${this.#count} jobs in the history` })
  }
}
