/** Rows that come in pages, taken one by one: `fill` waits for a page, everything else is at once. */
export class RowQueue {
  readonly #pages: AsyncIterator<readonly Buffer[]>
  #page: readonly Buffer[] = []
  #at = 0
  #isDone = false

  constructor(pages: AsyncIterable<readonly Buffer[]> | null) {
    this.#pages = (pages ?? none())[Symbol.asyncIterator]()
  }

  /** Whether {@link fill} has to be awaited before the next row can be looked at. */
  get isEmpty(): boolean {
    return this.#at >= this.#page.length && !this.#isDone
  }

  /** The next row, null where there is none; it stays the next one. */
  peek(): Buffer | null {
    return this.#page[this.#at] ?? null
  }

  take(): Buffer | null {
    const row = this.#page[this.#at] ?? null
    if (row !== null) this.#at += 1
    return row
  }

  async fill(): Promise<void> {
    while (this.isEmpty) {
      const next = await this.#pages.next()
      this.#at = 0
      this.#page = next.done === true ? [] : next.value
      this.#isDone = next.done === true
    }
  }

  /** The next row, waited for. */
  async next(): Promise<Buffer | null> {
    if (this.isEmpty) await this.fill()
    return this.take()
  }

  async close(): Promise<void> {
    this.#isDone = true
    this.#page = []
    await this.#pages.return?.()
  }
}

async function* none(): AsyncGenerator<readonly Buffer[], void> {
  // a table that the source does not hold
}
