import type { FactOf } from '../events/catalogue.ts'
import { clipped } from './clipped.ts'

type Data = FactOf<'RefusalsCounted'>['data']
type Row = Data['counts'][number]

/** Rows that are told apart; what no row is left for is counted in one sum. */
const maxRows = 16
const maxProgramLength = 256

/** One refusal as it is counted. */
export interface CountedRefusal {
  readonly program: string
  readonly procedure: string
  readonly rule: string
  readonly message: string
  readonly atUs: bigint
}

/** Refusals of one user that are not recorded one by one, by program, procedure and rule; of bounded size whatever is counted. */
export class RefusalCounts {
  readonly #counts = new Map<string, { readonly row: Omit<Row, 'count'>; count: number }>()
  #count = 0
  #sinceUs: bigint
  #untilUs: bigint
  #lastMessage = ''

  constructor(sinceUs: bigint) {
    this.#sinceUs = sinceUs
    this.#untilUs = sinceUs
  }

  add({ program, procedure, rule, message, atUs }: CountedRefusal): void {
    this.#count++
    this.#untilUs = atUs
    this.#lastMessage = message
    this.#addTo({ program, procedure, rule }, 1)
  }

  /** Takes in what could not be recorded before. */
  addEarlier(earlier: Data): void {
    this.#count += earlier.count
    if (earlier.sinceUs < this.#sinceUs) this.#sinceUs = earlier.sinceUs
    if (earlier.untilUs > this.#untilUs) this.#untilUs = earlier.untilUs
    if (this.#lastMessage === '') this.#lastMessage = earlier.lastMessage
    for (const { count, ...row } of earlier.counts) this.#addTo(row, count)
  }

  /** The fact's data; the most frequent first. */
  data(uid: number | null): Data {
    const counts = [...this.#counts.values()].map(({ row, count }) => ({ ...row, count }))
    counts.sort((a, b) => b.count - a.count)
    const listed = counts.reduce((sum, row) => sum + row.count, 0)
    return {
      uid,
      sinceUs: this.#sinceUs,
      untilUs: this.#untilUs,
      count: this.#count,
      counts,
      otherCount: this.#count - listed,
      lastMessage: clipped(this.#lastMessage, 1_024),
    }
  }

  #addTo(row: Omit<Row, 'count'>, count: number): void {
    const key = `${row.procedure}\0${row.rule}\0${row.program}`
    const known = this.#counts.get(key)
    if (known !== undefined) known.count += count
    else if (this.#counts.size < maxRows) {
      this.#counts.set(key, { row: { ...row, program: clipped(row.program, maxProgramLength) }, count })
    }
  }
}
