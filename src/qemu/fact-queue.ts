import type { DriverFact } from '../driver/driver.ts'

/** More than any reader falls behind in ordinary work; above it, facts that a later one makes obsolete are dropped. */
export const factQueueLimit = 10_000

/**
 * Facts on their way to their one reader. Bounded: when it is full, of each kind only the last word on each domain and job is kept, which
 * tells the reader the same state. What remains is bounded by the number of domains and jobs.
 */
export class FactQueue {
  readonly #limit: number
  #waiting: DriverFact[] = []
  #wake: (() => void) | null = null
  #hasReader = false

  constructor(limit = factQueueLimit) {
    this.#limit = limit
  }

  /** Number of facts that nobody has taken yet. */
  get length(): number {
    return this.#waiting.length
  }

  push(fact: DriverFact): void {
    this.#waiting.push(fact)
    if (this.#waiting.length > this.#limit) this.#waiting = lastWords(this.#waiting)
    this.#wake?.()
  }

  /** The facts in their order, until the signal aborts; facts not yet taken stay for the next reader. Throws when there is a reader already. */
  async *read(signal: AbortSignal): AsyncGenerator<DriverFact, void, undefined> {
    if (this.#hasReader)
      throw new Error('Cannot read driver facts: somebody reads them already, there can be one reader')
    this.#hasReader = true
    const onAbort = (): void => this.#wake?.()
    signal.addEventListener('abort', onAbort)
    try {
      while (!signal.aborted) {
        const fact = this.#waiting.shift()
        if (fact === undefined) await this.#more(signal)
        else yield fact
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#hasReader = false
    }
  }

  async #more(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#waiting.length > 0) return
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = null
  }
}

/** What a later fact of the same subject replaces. */
function subjectOf(fact: DriverFact): string {
  switch (fact.kind) {
    case 'suspended':
    case 'resumed':
      return `cpus ${fact.uuid}`
    case 'jobChanged':
      return `job ${fact.uuid} ${fact.jobId}`
    case 'reset':
    case 'guestShutdown':
    case 'guestPanicked':
    case 'ended':
    case 'monitorSilent':
      return `${fact.kind} ${fact.uuid}`
  }
}

function lastWords(facts: readonly DriverFact[]): DriverFact[] {
  const seen = new Set<string>()
  const kept: DriverFact[] = []
  for (const fact of facts.toReversed()) {
    const subject = subjectOf(fact)
    if (seen.has(subject)) continue
    seen.add(subject)
    kept.push(fact)
  }
  return kept.toReversed()
}
