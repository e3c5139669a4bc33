/** What an AsyncQueue is made with. */
export interface AsyncQueueOptions {
  /** Values that may wait; `push` refuses more. */
  readonly max: number
  /** Called after each value that the consumer took, so that a producer who was refused can go on. */
  readonly onTake?: () => void
}

/** A bounded first-in, first-out line between producers that cannot wait and one consumer. Nothing is dropped: a full queue refuses. */
export class AsyncQueue<T extends object> {
  readonly #max: number
  readonly #onTake: () => void
  readonly #waiting: T[] = []
  #wake: (() => void) | null = null
  #consumed = false

  constructor({ max, onTake = () => {} }: AsyncQueueOptions) {
    this.#max = max
    this.#onTake = onTake
  }

  /** Values that wait. */
  get length(): number {
    return this.#waiting.length
  }

  /** Puts a value at the end; false when the queue is full and the value was not taken. */
  push(value: T): boolean {
    if (this.#waiting.length >= this.#max) return false
    this.#waiting.push(value)
    this.#wake?.()
    return true
  }

  /** Values in order until the signal aborts; what waits then stays for the next consumer. One consumer at a time. */
  async *values(signal: AbortSignal): AsyncGenerator<T, void, undefined> {
    if (this.#consumed) throw new Error('Cannot read the queue: it has a consumer already, one is allowed')
    this.#consumed = true
    try {
      while (!signal.aborted) {
        if (this.#waiting.length === 0) {
          await this.#arrival(signal)
          continue
        }
        const [value] = this.#waiting.splice(0, 1)
        this.#onTake()
        if (value !== undefined) yield value
      }
    } finally {
      this.#consumed = false
    }
  }

  async #arrival(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = () => resolve()
    this.#wake = wake
    signal.addEventListener('abort', wake, { once: true })
    await promise
    // A long-lived signal would else collect one listener per wait.
    signal.removeEventListener('abort', wake)
  }
}
