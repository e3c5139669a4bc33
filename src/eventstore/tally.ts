/** Counts values by size, as a Prometheus histogram does: `counts[i]` of those up to `bounds[i]` and above the bound before, the last of the others. */
export class Tally {
  readonly bounds: readonly number[]
  readonly counts: number[]
  sum = 0

  /** Bounds ascend. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  /** All values. */
  get count(): number {
    return this.counts.reduce((sum, count) => sum + count, 0)
  }

  add(value: number): void {
    const { bounds, counts } = this
    let at = 0
    while (at < bounds.length && value > (bounds[at] ?? 0)) at += 1
    counts[at] = (counts[at] ?? 0) + 1
    this.sum += value
  }
}
