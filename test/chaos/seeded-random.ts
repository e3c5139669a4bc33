/** Numbers that follow from a seed alone; each part of a run has its own, so that one's timing does not change another's choices. */
export class SeededRandom {
  #state: number

  /** `part` separates the sequences that come from one seed. */
  constructor(seed: number, part: string) {
    this.#state = seed >>> 0
    for (const char of part) this.#state = Math.imul(this.#state ^ char.charCodeAt(0), 0x0100_0193) >>> 0
    this.next()
  }

  /** At least 0, less than 1 (the generator known as mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }

  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.between(0, items.length - 1)]
    if (item === undefined) throw new Error('Cannot pick from nothing')
    return item
  }

  /** One of the rows, each as likely as its weight says. */
  weighted<Row extends { readonly weight: number }>(rows: readonly Row[]): Row {
    let left = this.next() * rows.reduce((sum, row) => sum + row.weight, 0)
    for (const row of rows) {
      left -= row.weight
      if (left < 0) return row
    }
    return this.pick(rows)
  }

  /** A UUID of version 4 in form. */
  uuid(): string {
    return this.#uuidOf(`${this.#hex(8)}${this.#hex(4)}`, '4')
  }

  /** A UUID of version 7 for a time in milliseconds since 1970. */
  uuidV7(timeMs: number): string {
    return this.#uuidOf(timeMs.toString(16).padStart(12, '0'), '7')
  }

  #uuidOf(head: string, version: string): string {
    const variant = '89ab'.charAt(this.between(0, 3))
    return `${head.slice(0, 8)}-${head.slice(8)}-${version}${this.#hex(3)}-${variant}${this.#hex(3)}-${this.#hex(12)}`
  }

  #hex(digits: number): string {
    let text = ''
    while (text.length < digits) text += this.between(0, 0xffff).toString(16).padStart(4, '0')
    return text.slice(0, digits)
  }
}
