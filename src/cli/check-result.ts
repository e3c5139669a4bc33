/** What one check came to. `skipped` says why it could not be made. */
export interface CheckResult {
  /** Number of the invariant (reliability), or a word where it has none. */
  readonly id: string
  readonly title: string
  readonly state: 'ok' | 'finding' | 'skipped'
  /** One line each; at most {@link mostFindings}. */
  readonly findings: readonly string[]
  /** What was looked at, or why nothing was. */
  readonly note: string
}

/** Findings of one check that are kept; the rest is only counted. */
export const mostFindings = 20

/** Collects the findings of one check. */
export class Findings {
  readonly #kept: string[] = []
  #count = 0

  add(text: string): void {
    this.#count++
    if (this.#kept.length < mostFindings) this.#kept.push(text)
  }

  /** The result: ok where nothing was added. */
  result(check: Pick<CheckResult, 'id' | 'title' | 'note'>): CheckResult {
    const more = this.#count > this.#kept.length ? [`and ${this.#count - this.#kept.length} more`] : []
    return { ...check, state: this.#count === 0 ? 'ok' : 'finding', findings: [...this.#kept, ...more] }
  }
}
