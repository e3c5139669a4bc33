/**
 * Remembers at least the last `limit` keys used, at most twice as many. A look-up is that of a Map: nothing is moved at each use, unlike in
 * a list ordered by last use.
 */
export class GenerationCache<Value> {
  readonly #limit: number
  #young = new Map<number, Value>()
  #old = new Map<number, Value>()

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: number): Value | undefined {
    const value = this.#young.get(key)
    if (value !== undefined) return value
    const older = this.#old.get(key)
    if (older !== undefined) this.set(key, older)
    return older
  }

  set(key: number, value: Value): void {
    if (this.#young.size >= this.#limit) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }
}
