/** How much may be recorded within a time; a burst may use it up at once. */
export interface Allowance {
  readonly most: number
  readonly perMs: number
}

/**
 * What one user's refusals may cost, in units of about 1 KiB of log each. The short times let an ordinary mistake be read
 * in full; the long ones bound a flood that is slow on purpose: 5,000 units a day are less than 10 MB.
 */
export const allowancesOfOne: readonly Allowance[] = [
  { most: 10, perMs: 1_000 },
  { most: 100, perMs: 60_000 },
  { most: 1_000, perMs: 3_600_000 },
  { most: 5_000, perMs: 86_400_000 },
]

/** The same for all users together: many of them are no way around the bound of one. */
export const allowancesOfAll: readonly Allowance[] = allowancesOfOne.map(({ most, perMs }) => ({
  most: most * 10,
  perMs,
}))

/** Token buckets, one per allowance, that must all hold something for anything to be spent. */
export class RefusalBudget {
  readonly #allowances: readonly Allowance[]
  readonly #left: number[]
  #atMs: number

  constructor(allowances: readonly Allowance[], nowMs: number) {
    this.#allowances = allowances
    this.#left = allowances.map(({ most }) => most)
    this.#atMs = nowMs
  }

  /** Whether something may be spent now. */
  hasAny(nowMs: number): boolean {
    this.#refill(nowMs)
    return this.#left.every((left) => left >= 1)
  }

  /** Spends; more than is left becomes a debt, which later refills pay first. */
  spend(units: number): void {
    this.#allowances.forEach((_, at) => (this.#left[at] = (this.#left[at] ?? 0) - units))
  }

  /** Whether nothing of it is in use: it is as good as a new one. */
  isFull(nowMs: number): boolean {
    this.#refill(nowMs)
    return this.#allowances.every(({ most }, at) => this.#left[at] === most)
  }

  #refill(nowMs: number): void {
    const passedMs = nowMs - this.#atMs
    if (passedMs <= 0) return
    this.#atMs = nowMs
    this.#allowances.forEach(({ most, perMs }, at) => {
      this.#left[at] = Math.min(most, (this.#left[at] ?? 0) + (passedMs * most) / perMs)
    })
  }
}
