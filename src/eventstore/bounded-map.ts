/** A map that forgets what was used longest ago, so that its entries' weights never exceed a limit. */
export class BoundedMap<Key, Value> {
  readonly #entries = new Map<Key, { readonly value: Value; readonly weight: number }>()
  readonly #limit: number
  #weight = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Weights of all entries together. */
  get weight(): number {
    return this.#weight
  }

  get size(): number {
    return this.#entries.size
  }

  /** The value, which becomes the one used last. */
  get(key: Key): Value | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  /** Keeps a value; one heavier than the limit is not kept at all. */
  set(key: Key, value: Value, weight = 1): void {
    this.delete(key)
    if (weight > this.#limit) return
    this.#entries.set(key, { value, weight })
    this.#weight += weight
    while (this.#weight > this.#limit) this.#forgetOldest()
  }

  delete(key: Key): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#weight -= entry.weight
  }

  clear(): void {
    this.#entries.clear()
    this.#weight = 0
  }

  #forgetOldest(): void {
    for (const key of this.#entries.keys()) {
      this.delete(key)
      return
    }
  }
}
