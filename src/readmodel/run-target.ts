import type pg from 'pg'
import type { CommitStatement } from '../eventstore/commit-participant.ts'
import type { DeadLetter, ProjectionRun } from './projection-run.ts'
import { rowWrites } from './row-writes.ts'
import type { AnyTable } from './table.ts'
import type { TableColumns } from './table-columns.ts'

/** Where a run of projections writes: the tables of one schema. */
export interface RunTarget {
  readonly pool: pg.Pool
  readonly schema: string
  readonly columns: ReadonlyMap<AnyTable, TableColumns>
}

/** The columns of a table of the target. */
export function columnsOf({ columns }: Pick<RunTarget, 'columns'>, table: AnyTable): TableColumns {
  const found = columns.get(table)
  if (found === undefined) throw new Error(`Cannot write table "${table.name}": its columns were not read`)
  return found
}

/** The statements that write what a run has taken since its last commit. */
export function runStatements(
  run: ProjectionRun,
  target: Pick<RunTarget, 'schema' | 'columns'>,
): readonly CommitStatement[] {
  const statements: CommitStatement[] = []
  for (const [table, history] of run.histories) {
    const columns = target.columns.get(table)
    if (columns !== undefined) statements.push(...rowWrites(history, { columns, schema: target.schema }))
  }
  return statements
}

/** The statement that writes quarantined streams down. */
export function deadLetterStatement(letters: Iterable<DeadLetter>): readonly CommitStatement[] {
  const rows = [...letters].map((letter) => ({
    ...letter,
    position: String(letter.position),
    at_us: String(letter.atUs),
    error: cleanText(letter.error),
  }))
  if (rows.length === 0) return []
  return [
    {
      name: 'new_dead_letter',
      sql: `insert into dead_letter (projection, stream, position, at_us, error)
        select projection, stream, position, at_us, error
        from json_to_recordset($1::json) as d (projection text, stream text, position int8, at_us int8, error text)`,
      values: [JSON.stringify(rows, (name, value: unknown) => (name === 'atUs' ? undefined : value))],
      expectedRows: null,
    },
  ]
}

function cleanText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd').slice(0, 2_000)
}
