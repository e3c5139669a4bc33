import type { LogTable } from './log-tables.ts'

/** Something in the log that is not as it was recorded: in which row of which table, in which columns, and what is wrong with it. */
export interface LogFinding {
  readonly table: LogTable
  /** The key of the row, for people: `12`, `0/3`, `domain-…`. */
  readonly key: string
  /** The columns, one of which is wrong; more than one where what was read does not tell which. */
  readonly columns: readonly string[]
  /** The first event that it concerns, where it concerns events. */
  readonly position: bigint | null
  readonly text: string
}

const mostKept = 100

/** Collects findings: the first ones in full, the others by number. */
export class LogFindings {
  readonly #kept: LogFinding[] = []
  #count = 0
  #firstPosition: bigint | null = null

  get list(): readonly LogFinding[] {
    return this.#kept
  }

  get count(): number {
    return this.#count
  }

  /** The lowest position that any finding concerns. */
  get firstPosition(): bigint | null {
    return this.#firstPosition
  }

  add(finding: LogFinding): void {
    this.#count += 1
    if (this.#kept.length < mostKept) this.#kept.push(finding)
    const { position } = finding
    if (position !== null && (this.#firstPosition === null || position < this.#firstPosition)) {
      this.#firstPosition = position
    }
  }
}
