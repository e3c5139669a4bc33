import { int8Array, nullableInt8Array, timestamptzArray } from '../eventstore/binary-values.ts'
import type { CommitStatement } from '../eventstore/commit-participant.ts'
import type { RowHistory } from './row-history.ts'
import type { Column, TableColumns } from './table-columns.ts'

/** Where the rows of a table are written to. */
interface Place {
  readonly columns: TableColumns
  readonly schema: string
}

/** The statements that write what a table's history has gathered: old versions closed, then new ones opened, each in one go. */
export function rowWrites(history: RowHistory, place: Place): readonly CommitStatement[] {
  const { columns } = place
  const { closed, opened } = history
  if (closed.length === 0 && opened.length === 0) return []
  const { close, open, keys } = textsOf(place)
  const statements: CommitStatement[] = []
  if (closed.length > 0) {
    const rows = closed.map(({ row }) => row)
    statements.push({
      name: `closed_${columns.table.name}`,
      sql: close,
      values: [
        ...keys.map((column) => columns.arrayOf(column, rows)),
        int8Array(closed.map(({ fromPosition }) => fromPosition)),
        int8Array(closed.map(({ to }) => to.position)),
        timestamptzArray(closed.map(({ to }) => to.timeUs)),
      ],
      expectedRows: closed.length,
    })
  }
  if (opened.length > 0) {
    const rows = opened.map(({ row }) => row)
    statements.push({
      name: `opened_${columns.table.name}`,
      sql: open,
      values: [
        ...columns.columns.map((column) => columns.arrayOf(column, rows)),
        int8Array(opened.map(({ from }) => from.position)),
        nullableInt8Array(opened.map(({ to }) => to?.position ?? null)),
        timestamptzArray(opened.map(({ from }) => from.timeUs)),
        timestamptzArray(opened.map(({ to }) => to?.timeUs ?? null)),
      ],
      expectedRows: null,
    })
  }
  return statements
}

interface Texts {
  readonly close: string
  readonly open: string
  readonly keys: readonly Column[]
}

const texts = new WeakMap<TableColumns, Map<string, Texts>>()

/** The statements are the same for every commit. */
function textsOf({ columns, schema }: Place): Texts {
  const ofTable = texts.get(columns) ?? new Map<string, Texts>()
  texts.set(columns, ofTable)
  const known = ofTable.get(schema)
  if (known !== undefined) return known
  const keys = columns.columns.filter((column) => columns.table.key.includes(column.name))
  const table = `"${schema}"."${columns.table.name}"`
  const made = { keys, close: closeText(table, keys), open: openText(table, columns.columns) }
  ofTable.set(schema, made)
  return made
}

/**
 * Each version is looked for by its key, on its own: a join could be planned, while the table is empty, as a scan of all current rows, and
 * that plan would stay.
 */
function closeText(table: string, keys: readonly Column[]): string {
  const wanted = unnested([
    ...keys,
    { name: 'from_position', type: 'bigint' },
    { name: 'to_position', type: 'bigint' },
    { name: 'valid_to', type: 'timestamptz' },
  ])
  const sameKey = keys.map(({ name }) => `x."${name}" = c."${name}"`).join(' and ')
  return `update ${table} t set to_position = f.to_position, valid_to = f.valid_to
    from (select c.to_position, c.valid_to, v.ctid as place from (select ${wanted}) as c cross join lateral (
      select x.ctid from ${table} x where ${sameKey} and x.from_position = c.from_position and x.to_position is null limit 1
    ) as v) as f where t.ctid = f.place returning 1`
}

function openText(table: string, columns: readonly Column[]): string {
  const all = [
    ...columns,
    { name: 'from_position', type: 'bigint' },
    { name: 'to_position', type: 'bigint' },
    { name: 'valid_from', type: 'timestamptz' },
    { name: 'valid_to', type: 'timestamptz' },
  ]
  return `insert into ${table} (${all.map(({ name }) => `"${name}"`).join(', ')}) select ${unnested(all)}`
}

function unnested(columns: readonly Pick<Column, 'name' | 'type'>[]): string {
  return columns.map(({ name, type }, at) => `unnest($${at + 1}::${type}[]) as "${name}"`).join(', ')
}
