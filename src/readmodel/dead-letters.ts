import type { Undo } from './row-history.ts'

/** A stream that a projection does not follow any more, from the event on that it could not take. */
export interface DeadLetter {
  readonly projection: string
  readonly stream: string
  readonly position: bigint
  /** When the event was recorded, microseconds since 1970. */
  readonly atUs: bigint
  /** How often it was tried. */
  readonly attempts: number
  /** When it was last tried again, microseconds since 1970; null: never. */
  readonly lastTriedAtUs: bigint | null
  readonly error: string
}

/** By what a quarantined stream is known. */
export function letterKey(projection: string, stream: string): string {
  return `${projection} ${stream}`
}

/** The quarantined streams of some projections, as they are written down, and what a batch has changed of them. */
export class DeadLetters {
  /** Those that are written down, by {@link letterKey}. */
  readonly committed = new Map<string, DeadLetter>()
  readonly #changed = new Map<string, DeadLetter | null>()

  /** What the batch has changed: letters by key, null for one that has ended. */
  get changes(): ReadonlyMap<string, DeadLetter | null> {
    return this.#changed
  }

  /** Whether there is no letter at all. */
  get areNone(): boolean {
    return this.committed.size === 0 && this.#changed.size === 0
  }

  /** The letter of a stream, with what the batch has changed. */
  get(key: string): DeadLetter | undefined {
    if (this.#changed.size === 0) return this.committed.get(key)
    const changed = this.#changed.get(key)
    return changed === undefined ? this.committed.get(key) : (changed ?? undefined)
  }

  /** Puts a letter, or with null ends one. Returns what takes that back. */
  put(key: string, letter: DeadLetter | null): Undo {
    const before = this.#changed.get(key)
    this.#changed.set(key, letter)
    return () => {
      if (before === undefined) this.#changed.delete(key)
      else this.#changed.set(key, before)
    }
  }

  /** Makes the changes the written ones; `onQuarantine` hears of each letter that is new or was tried again. */
  commit(onQuarantine: (letter: DeadLetter) => void): void {
    for (const [key, letter] of this.#changed) {
      if (letter === null) this.committed.delete(key)
      else {
        this.committed.set(key, letter)
        onQuarantine(letter)
      }
    }
    this.#changed.clear()
  }

  /** Forgets the changes. */
  drop(): void {
    this.#changed.clear()
  }

  /** Puts the letters of one projection in the place of those it has. */
  replace(projection: string, letters: Iterable<DeadLetter>): void {
    for (const [key, letter] of [...this.committed]) if (letter.projection === projection) this.committed.delete(key)
    for (const letter of letters) this.committed.set(letterKey(letter.projection, letter.stream), letter)
  }
}
