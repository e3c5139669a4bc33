import { LogCorruptError } from './append-errors.ts'
import type { CommitStatement } from './commit-participant.ts'

/** A single SQL statement with its parameters; `name` is set where it is worth preparing. */
export interface SqlStatement {
  readonly name?: string
  readonly text: string
  readonly values: readonly (string | Uint8Array | null)[]
}

const maxPrepared = 256

/**
 * Makes one statement of many: one round trip and one implicit transaction, the cheapest commit there is. Texts are the same for the
 * same combination of statements, so they are prepared under names of their own.
 */
export class CommitStatementComposer {
  readonly #names = new Map<string, string>()

  /** All or nothing of the given statements; fails where one changes another number of rows than it says. */
  compose(statements: readonly CommitStatement[]): SqlStatement {
    const values: (string | Uint8Array | null)[] = []
    const parts: string[] = []
    const checks: string[] = []
    const names = new Set<string>()
    for (const statement of statements) {
      if (names.has(statement.name))
        throw new LogCorruptError(`Cannot commit: two statements are named "${statement.name}"`)
      names.add(statement.name)
      const offset = values.length
      const sql = statement.sql.replaceAll(/\$(\d+)/g, (_match, number: string) => `$${Number(number) + offset}`)
      parts.push(`${statement.name} as (${sql})`)
      values.push(...statement.values)
      if (statement.expectedRows === null) continue
      values.push(String(statement.expectedRows))
      checks.push(`log_assert((select count(*) from ${statement.name}) = $${values.length}::int8, '${statement.name}')`)
    }
    const text = `with ${parts.join(',\n')}\nselect ${checks.length === 0 ? 'true' : checks.join(', ')}`
    return { ...this.#nameOf(text), text, values }
  }

  #nameOf(text: string): { readonly name?: string } {
    const known = this.#names.get(text)
    if (known !== undefined) return { name: known }
    if (this.#names.size >= maxPrepared) return {}
    const name = `commit_${this.#names.size}`
    this.#names.set(text, name)
    return { name }
  }
}
