/** What can be wrong with a history. */
export const findingKinds = {
  lost: 'acknowledged, and not in the log',
  duplicated: 'in the log twice',
  reordered: 'not in order, or a gap',
  missing: 'in the log, and not in a consumer’s output',
  redelivered: 'in a consumer’s output twice or out of order',
  ghost: 'in the log or an output, though nobody was told so or it was refused',
  torn: 'a part of an atomic append',
  revision: 'an expected revision that was not honoured, or refused without cause',
  update: 'a lost update: counters do not add up',
  stamp: 'times of commits that do not increase, or an as-of answer that changed',
  root: 'a Merkle root that does not follow from the events, or is not what was told',
  stale: 'a read that does not show what was acknowledged before',
  writer: 'two writers, or one that does not come back',
  restore: 'a restored log that is not the log',
} as const

/** One of {@link findingKinds}. */
export type FindingKind = keyof typeof findingKinds

/** Something wrong, with what shows it. */
export interface Finding {
  readonly kind: FindingKind
  readonly text: string
}

const keptPerKind = 5

/** Collects what is wrong: all of it counted, the first of each kind in words. */
export class Findings {
  readonly #counts = new Map<FindingKind, number>()
  readonly #first: Finding[] = []

  add(kind: FindingKind, text: string): void {
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    if (count <= keptPerKind) this.#first.push({ kind, text })
  }

  count(kind: FindingKind): number {
    return this.#counts.get(kind) ?? 0
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Kinds that occurred, with how often. */
  get counts(): ReadonlyMap<FindingKind, number> {
    return this.#counts
  }

  /** The first few of each kind. */
  get first(): readonly Finding[] {
    return this.#first
  }
}
