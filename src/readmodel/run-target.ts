import type pg from 'pg'
import type { CommitStatement } from '../eventstore/commit-participant.ts'
import type { DeadLetter } from './dead-letters.ts'
import type { ProjectionRun } from './projection-run.ts'
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

/** The statements that write down what has become of quarantined streams: letters by key, null for one that has ended. */
export function letterStatements(
  changes: ReadonlyMap<string, DeadLetter | null>,
  { schema }: { readonly schema: string } = { schema: 'public' },
): readonly CommitStatement[] {
  const statements: CommitStatement[] = []
  const ended = [...changes].flatMap(([key, letter]) => (letter === null ? [splitKey(key)] : []))
  if (ended.length > 0) {
    statements.push({
      name: 'ended_dead_letter',
      sql: `delete from "${schema}".dead_letter d using json_to_recordset($1::json) as e (projection text, stream text)
        where d.projection = e.projection and d.stream = e.stream`,
      values: [JSON.stringify(ended)],
      expectedRows: null,
    })
  }
  const letters = [...changes.values()].filter((letter) => letter !== null)
  if (letters.length > 0) {
    statements.push({
      name: 'put_dead_letter',
      sql: `insert into "${schema}".dead_letter (${letterColumns})
        select ${letterColumns} from json_to_recordset($1::json)
          as d (projection text, stream text, position int8, at_us int8, attempts int4, last_tried_at_us int8, error text)
        on conflict (projection, stream) do update set position = excluded.position, at_us = excluded.at_us,
          attempts = excluded.attempts, last_tried_at_us = excluded.last_tried_at_us, error = excluded.error`,
      values: [JSON.stringify(letters.map(letterRow))],
      expectedRows: null,
    })
  }
  return statements
}

const letterColumns = 'projection, stream, position, at_us, attempts, last_tried_at_us, error'

function letterRow({ projection, stream, attempts, ...letter }: DeadLetter): object {
  return {
    projection,
    stream,
    position: String(letter.position),
    at_us: String(letter.atUs),
    attempts,
    last_tried_at_us: letter.lastTriedAtUs === null ? null : String(letter.lastTriedAtUs),
    error: cleanText(letter.error),
  }
}

function splitKey(key: string): { readonly projection: string; readonly stream: string } {
  const blank = key.indexOf(' ') // the name of a projection has none
  return { projection: key.slice(0, blank), stream: key.slice(blank + 1) }
}

function cleanText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd').slice(0, 2_000)
}
