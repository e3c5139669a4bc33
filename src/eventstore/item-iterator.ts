/** How an iteration ends before its batches do. */
export interface ItemControl {
  /** Asked before each item: then the rest of the batch is not handed out, and the batches are asked how to end. */
  isOver(): boolean
  /** Whoever iterates goes away: a batch that is waited for must end. */
  stop(): void
}

/**
 * Hands out the items of batches one by one. An item that is there already costs one promise, where a generator that delegates to another
 * one costs several: at the speed of reading a log that is a good part of the whole.
 */
export class ItemIterator<Item> implements AsyncIterableIterator<Item, undefined> {
  readonly #batches: AsyncIterator<readonly Item[], unknown>
  readonly #control: ItemControl
  #batch: readonly Item[] = []
  #at = 0
  #pending: Promise<IteratorResult<Item, undefined>> | null = null
  #isOver = false

  constructor(batches: AsyncIterator<readonly Item[], unknown>, control: ItemControl) {
    this.#batches = batches
    this.#control = control
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    if (this.#pending === null && !this.#control.isOver()) {
      const value = this.#batch[this.#at]
      this.#at += 1
      if (value !== undefined) return Promise.resolve({ done: false, value })
    }
    // Who asks again before the last answer is there gets the one after it.
    const pending: Promise<IteratorResult<Item, undefined>> =
      this.#pending === null ? this.#refill() : this.#pending.then(() => this.#refill())
    this.#pending = pending
    const settled = (): void => {
      if (this.#pending === pending) this.#pending = null
    }
    pending.then(settled, settled)
    return pending
  }

  async return(): Promise<IteratorResult<Item, undefined>> {
    this.#isOver = true
    this.#batch = []
    this.#control.stop()
    await this.#batches.return?.()
    return over
  }

  async #refill(): Promise<IteratorResult<Item, undefined>> {
    while (!this.#isOver) {
      const value = this.#control.isOver() ? undefined : this.#batch[this.#at]
      this.#at += 1
      if (value !== undefined) return { done: false, value }
      const next = await this.#batches.next()
      if (next.done === true) this.#isOver = true
      else {
        this.#batch = next.value
        this.#at = 0
      }
    }
    return over
  }
}

const over = { done: true, value: undefined } as const
