import type { CommitStatement } from '../eventstore/commit-participant.ts'
import type { Moment, RowHistory } from './row-history.ts'
import type { TableColumns } from './table-columns.ts'

/** The statements that write what a table's history has gathered: old versions closed, then new ones opened, each in one go. */
export function rowWrites(
  history: RowHistory,
  { columns, schema }: { readonly columns: TableColumns; readonly schema: string },
): readonly CommitStatement[] {
  const table = `"${schema}"."${columns.table.name}"`
  const statements: CommitStatement[] = []
  const { closed, opened } = history
  if (closed.length > 0) {
    const keys = columns.columns.filter((column) => columns.table.key.includes(column.name))
    const rows = closed.map(({ row, fromPosition, to }) => {
      const json = columns.toJson(row)
      const key = Object.fromEntries(keys.map(({ name }) => [name, json[name]]))
      return { ...key, from_position: String(fromPosition), to_position: String(to.position), valid_to: timeText(to) }
    })
    statements.push({
      name: `closed_${columns.table.name}`,
      sql: `update ${table} t set to_position = c.to_position, valid_to = c.valid_to
        from json_to_recordset($1::json) as c (${typed(keys)}, from_position int8, to_position int8, valid_to timestamptz)
        where ${keys.map(({ name }) => `t."${name}" = c."${name}"`).join(' and ')}
          and t.from_position = c.from_position and t.to_position is null returning 1`,
      values: [JSON.stringify(rows)],
      expectedRows: rows.length,
    })
  }
  if (opened.length > 0) {
    const rows = opened.map(({ row, from, to }) => ({
      ...columns.toJson(row),
      from_position: String(from.position),
      valid_from: timeText(from),
      to_position: to === null ? null : String(to.position),
      valid_to: to === null ? null : timeText(to),
    }))
    const names = [...columns.columns.map(({ name }) => `"${name}"`), ...temporal.map(({ name }) => name)].join(', ')
    statements.push({
      name: `opened_${columns.table.name}`,
      sql: `insert into ${table} (${names})
        select ${names} from json_to_recordset($1::json) as o (${typed([...columns.columns, ...temporal])})`,
      values: [JSON.stringify(rows)],
      expectedRows: null,
    })
  }
  return statements
}

const temporal = [
  { name: 'from_position', type: 'bigint' },
  { name: 'to_position', type: 'bigint' },
  { name: 'valid_from', type: 'timestamptz' },
  { name: 'valid_to', type: 'timestamptz' },
] as const

function typed(columns: readonly { readonly name: string; readonly type: string }[]): string {
  return columns.map(({ name, type }) => `"${name}" ${type}`).join(', ')
}

/** A time as SQL reads it, to the microsecond. */
function timeText({ timeUs }: Moment): string {
  const seconds = new Date(Number(timeUs / 1_000_000n) * 1_000).toISOString().slice(0, 19)
  return `${seconds}.${String(timeUs % 1_000_000n).padStart(6, '0')}Z`
}
