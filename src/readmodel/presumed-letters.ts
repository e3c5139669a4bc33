import type { DeadLetter } from './dead-letters.ts'
import type { Resumption } from './resumption.ts'

interface Presumed {
  readonly error: string
  /** Position of the event by which the stream was followed again; null while it is not. */
  readonly until: bigint | null
}

/**
 * Events of which it is recorded that a projection could not take them, by its present version. A build repeats that: why a database
 * refused something, or that an operator had it left out, cannot be told from the events themselves.
 */
export class PresumedLetters {
  readonly #byEvent = new Map<string, Presumed>()

  /** From the letters that stand, and from what operators have had projections try again or leave out. */
  constructor(letters: Iterable<DeadLetter>, resumptions: Iterable<Resumption> = []) {
    for (const resumption of resumptions) {
      this.#byEvent.set(eventKey(resumption), { error: resumption.error, until: resumption.at.position })
    }
    for (const letter of letters) this.#byEvent.set(eventKey(letter), { error: letter.error, until: null })
  }

  /** Why the event was refused where it is taken at position `at`: its own, or the later one of another attempt; null where it was not. */
  errorOf(event: { readonly projection: string; readonly stream: string; readonly position: bigint }, at: bigint) {
    if (this.#byEvent.size === 0) return null
    const found = this.#byEvent.get(eventKey(event))
    return found !== undefined && (found.until === null || at < found.until) ? found.error : null
  }
}

function eventKey(event: { readonly projection: string; readonly stream: string; readonly position: bigint }): string {
  return `${event.position} ${event.projection} ${event.stream}`
}
