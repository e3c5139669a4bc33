import * as v from 'valibot'
import { int64, sha256Text } from '../events/fact.ts'
import type { EventRow } from './event-row.ts'
import type { LogFindings } from './log-finding.ts'

const erasureSchema = v.looseObject({ position: int64, dataSha256: sha256Text })

/** The event type that records an erasure. */
export const erasureType = 'PayloadErased'

/** Compares the events without data with the events that say so. */
export class ErasureCheck {
  /** Hash of the data, by the position of an event that has none. */
  readonly #erased = new Map<bigint, string>()
  /** The same as recorded, and where it is recorded. */
  readonly #recorded = new Map<bigint, { readonly sha256: string; readonly at: bigint }>()
  readonly #findings: LogFindings

  constructor(findings: LogFindings) {
    this.#findings = findings
  }

  get count(): number {
    return this.#erased.size
  }

  /** Notes an event without data. */
  erased({ position, dataHash }: EventRow): void {
    this.#erased.set(BigInt(position), dataHash?.toString('hex') ?? '')
  }

  /** Notes what an event of the type {@link erasureType} says. */
  recorded({ position, data }: EventRow): void {
    const read = v.safeParse(v.pipe(v.string(), v.parseJson(), erasureSchema), data?.toString() ?? '')
    if (!read.success) return
    this.#recorded.set(read.output.position, { sha256: read.output.dataSha256, at: BigInt(position) })
  }

  /** `from`: events before it were not read, nor their erasures. */
  finish(from: bigint): void {
    for (const [position, sha256] of this.#erased) {
      const recorded = this.#recorded.get(position)
      if (recorded === undefined) {
        this.#add(position, {
          columns: ['data', 'data_hash'],
          text: `event @${position} has no data, and no event says that it was erased`,
        })
      } else if (recorded.sha256 !== sha256) {
        const text = `event @${position} has not the data hash that @${recorded.at} recorded when it was erased`
        this.#add(position, { columns: ['data_hash'], text })
      }
    }
    for (const [position, { at }] of this.#recorded) {
      if (position < from || this.#erased.has(position)) continue
      this.#add(position, { columns: ['data'], text: `event @${position} has data, which @${at} says was erased` })
    }
  }

  #add(position: bigint, { columns, text }: { readonly columns: readonly string[]; readonly text: string }): void {
    this.#findings.add({ table: 'event', key: String(position), columns, position, text })
  }
}
