import { int8Array, int8Value, nullableInt8Array, timestamptzArray } from '../eventstore/binary-values.ts'
import type { CommitStatement } from '../eventstore/commit-participant.ts'
import type { ClosedVersion, OpenedVersion, RowHistory } from './row-history.ts'
import type { Column, TableColumns } from './table-columns.ts'

/** Where the rows of a table are written to. */
interface Place {
  readonly columns: TableColumns
  readonly schema: string
}

/** A current version that gives way to a later one of the same row. */
interface Replaced {
  readonly closed: ClosedVersion
  readonly opened: OpenedVersion
}

/** What is to be written of a table, by what it takes. */
interface Writes {
  readonly replaced: Replaced[]
  /** Current versions without a later one. */
  readonly ended: ClosedVersion[]
  /** Versions of which the database knows nothing: they end in the same commit, or their row is new. */
  readonly begun: OpenedVersion[]
}

/** The statements that write what a table's history has gathered. */
export function rowWrites(history: RowHistory, place: Place): readonly CommitStatement[] {
  const { replaced, ended, begun } = gathered(history)
  return [
    ...(ended.length === 0 ? [] : [endStatement(ended, place)]),
    ...(replaced.length === 0 ? [] : [replaceStatement(replaced, place)]),
    ...(begun.length === 0 ? [] : [beginStatement(begun, place)]),
  ]
}

function gathered(history: RowHistory): Writes {
  const writes: Writes = { replaced: [], ended: [], begun: [] }
  for (const { closed, opened } of history.changed) {
    const replaces = closed !== null && opened !== null && opened.to === null
    if (replaces) writes.replaced.push({ closed, opened })
    else if (closed !== null) writes.ended.push(closed)
    for (let each = replaces ? opened.earlier : opened; each !== null; each = each.earlier) writes.begun.push(each)
  }
  return writes
}

function endStatement(ended: readonly ClosedVersion[], place: Place): CommitStatement {
  const { columns } = place
  const { end, keys } = textsOf(place)
  const rows = ended.map(({ row }) => row)
  const values = [...keys.map((column) => columns.arrayOf(column, rows)), ...endValues(ended)]
  return { name: `ended_${columns.table.name}`, sql: end, values, expectedRows: ended.length }
}

function replaceStatement(replaced: readonly Replaced[], place: Place): CommitStatement {
  const { columns } = place
  const rows = replaced.map(({ opened }) => opened.row)
  const values = [
    ...columns.columns.map((column) => columns.arrayOf(column, rows)),
    ...endValues(replaced.map(({ closed }) => closed)),
    int8Array(replaced.map(({ opened }) => opened.from.position)),
    timestamptzArray(replaced.map(({ opened }) => opened.from.timeUs)),
    int8Value(BigInt(replaced.length)),
  ]
  return { name: `replaced_${columns.table.name}`, sql: textsOf(place).replace, values, expectedRows: null }
}

function beginStatement(begun: readonly OpenedVersion[], place: Place): CommitStatement {
  const { columns } = place
  const rows = begun.map(({ row }) => row)
  const values = [
    ...columns.columns.map((column) => columns.arrayOf(column, rows)),
    int8Array(begun.map(({ from }) => from.position)),
    nullableInt8Array(begun.map(({ to }) => to?.position ?? null)),
    timestamptzArray(begun.map(({ from }) => from.timeUs)),
    timestamptzArray(begun.map(({ to }) => to?.timeUs ?? null)),
  ]
  return { name: `begun_${columns.table.name}`, sql: textsOf(place).begin, values, expectedRows: null }
}

function endValues(closed: readonly ClosedVersion[]): readonly Uint8Array[] {
  return [
    int8Array(closed.map(({ fromPosition }) => fromPosition)),
    int8Array(closed.map(({ to }) => to.position)),
    timestamptzArray(closed.map(({ to }) => to.timeUs)),
  ]
}

interface Texts {
  readonly end: string
  readonly replace: string
  readonly begin: string
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
  const all = columns.columns
  const made = {
    keys,
    end: endText(table, keys),
    replace: replaceText(columns, { table, keys }),
    begin: beginText(table, all),
  }
  ofTable.set(schema, made)
  return made
}

type Typed = Pick<Column, 'name' | 'type'>

// The columns of a table have no blank in their names.
const wasFrom = { name: 'was from', type: 'bigint' }
const ends: readonly Typed[] = [
  wasFrom,
  { name: 'to_position', type: 'bigint' },
  { name: 'valid_to', type: 'timestamptz' },
]
const begins: readonly Typed[] = [
  { name: 'from_position', type: 'bigint' },
  { name: 'valid_from', type: 'timestamptz' },
]

/**
 * Each current version is looked for by its key, on its own: a join could be planned, while the table is empty, as a scan of all current
 * rows, and that plan would stay.
 */
function currentOf(
  table: string,
  { keys, wanted }: { readonly keys: readonly Column[]; readonly wanted: string },
): string {
  const sameKey = keys.map(({ name }) => `x."${name}" = c."${name}"`).join(' and ')
  return `cross join lateral (select ${wanted} from ${table} x
      where ${sameKey} and x.to_position is null and x.from_position = c."${wasFrom.name}" limit 1) as v`
}

function endText(table: string, keys: readonly Column[]): string {
  return `update ${table} t set to_position = f.to_position, valid_to = f.valid_to
    from (select c.to_position, c.valid_to, v."its place" from (select ${unnested([...keys, ...ends])}) as c
      ${currentOf(table, { keys, wanted: 'x.ctid as "its place"' })}) as f where t.ctid = f."its place" returning 1`
}

/**
 * The current version becomes the later one where it stands, without a change in any index, and what it was is put beside it as a version
 * that has ended.
 */
function replaceText(
  { columns, table: { name: what } }: TableColumns,
  { table, keys }: { readonly table: string; readonly keys: readonly Column[] },
): string {
  const others = columns.filter((column) => !keys.includes(column))
  const given = [...columns, ...ends, ...begins]
  const changed = [...others, ...begins].map(({ name }) => `"${name}" = f."${name}"`).join(', ')

  const kept = [...keys.map(({ name }) => `f."${name}"`), ...others.map(({ name }) => `f."was ${name}"`)].join(', ')
  const was = [...others.map(({ name }) => `x."${name}" as "was ${name}"`), 'x.valid_from as "was valid_from"']
  const order = [...keys, ...others].map(({ name }) => `"${name}"`).join(', ')
  return `with replaced as (update ${table} t set ${changed}
      from (select c.*, v.* from (select ${unnested(given)}) as c
        ${currentOf(table, { keys, wanted: ['x.ctid as "its place"', ...was].join(', ') })}) as f
      where t.ctid = f."its place" returning ${kept}, f."${wasFrom.name}", f.to_position, f."was valid_from", f.valid_to),
    kept as (insert into ${table} (${order}, from_position, to_position, valid_from, valid_to)
      select * from replaced returning 1)
    select log_assert(count(*) = $${given.length + 1}::int8, 'replaced_${what}') from kept`
}

function beginText(table: string, columns: readonly Column[]): string {
  const all = [...columns, ...temporal]
  return `insert into ${table} (${all.map(({ name }) => `"${name}"`).join(', ')}) select ${unnested(all)}`
}

const temporal: readonly Typed[] = [
  { name: 'from_position', type: 'bigint' },
  { name: 'to_position', type: 'bigint' },
  { name: 'valid_from', type: 'timestamptz' },
  { name: 'valid_to', type: 'timestamptz' },
]

function unnested(columns: readonly Typed[]): string {
  return columns.map(({ name, type }, at) => `unnest($${at + 1}::${type}[]) as "${name}"`).join(', ')
}
