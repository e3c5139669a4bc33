import type { ClientBase } from 'pg'
import { arrayOfValues, int4Value, int8Array, int8Value } from '../eventstore/binary-values.ts'
import type { AnyTable } from './table.ts'

/** How the values of a column type travel: what is acceptable, its form in JSON, and its binary form (pg_type.oid, the type's send function). */
interface ColumnType {
  readonly wanted: string
  readonly oid: number
  accepts(value: unknown): boolean
  toJson(value: unknown): unknown
  /** Of a value that is accepted. */
  toBinary(value: unknown): Uint8Array
}

const asIs = (value: unknown) => value
// What jsonb_recv wants in front
const jsonbVersion = '\u0001'

function isBigint(value: unknown): value is bigint {
  return typeof value === 'bigint'
}

function float8Value(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeDoubleBE(value)
  return bytes
}

function isCleanText(value: unknown): boolean {
  return typeof value === 'string' && !value.includes('\0') && value.isWellFormed()
}

function isCleanJson(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isCleanJson)
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).every(
      ([name, member]) => isCleanText(name) && (member === undefined || isCleanJson(member)),
    )
  }
  if (typeof value === 'number') return Number.isFinite(value)
  return value === null || typeof value === 'boolean' || isCleanText(value)
}

const columnTypes: Readonly<Record<string, ColumnType>> = {
  text: {
    wanted: 'a string without NUL or half a surrogate pair',
    accepts: isCleanText,
    toJson: asIs,
    oid: 25,
    toBinary: (value) => Buffer.from(String(value)),
  },
  bigint: {
    wanted: 'a bigint of 64 bits',
    accepts: (value) => typeof value === 'bigint' && BigInt.asIntN(64, value) === value,
    toJson: String,
    oid: 20,
    toBinary: (value) => int8Value(typeof value === 'bigint' ? value : 0n),
  },
  integer: {
    wanted: 'a whole number of 32 bits',
    accepts: (value) => typeof value === 'number' && Object.is(value | 0, value),
    toJson: asIs,
    oid: 23,
    toBinary: (value) => int4Value(Number(value)),
  },
  'double precision': {
    wanted: 'a finite number',
    accepts: (value) => typeof value === 'number' && Number.isFinite(value),
    toJson: asIs,
    oid: 701,
    toBinary: (value) => float8Value(Number(value)),
  },
  boolean: {
    wanted: 'true or false',
    accepts: (value) => typeof value === 'boolean',
    toJson: asIs,
    oid: 16,
    toBinary: (value) => Uint8Array.of(value === true ? 1 : 0),
  },
  bytea: {
    wanted: 'bytes',
    accepts: (value) => value instanceof Uint8Array,
    toJson: (value) => (value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : null),
    oid: 17,
    toBinary: (value) => (value instanceof Uint8Array ? value : new Uint8Array()),
  },
  jsonb: {
    wanted: 'JSON without NUL or half a surrogate pair',
    accepts: isCleanJson,
    toJson: asIs,
    oid: 3802,
    toBinary: (value) => Buffer.from(`${jsonbVersion}${JSON.stringify(value)}`),
  },
}

/** A column of a read model as the database has it. */
export interface Column {
  readonly name: string
  readonly type: string
  readonly notNull: boolean
}

const temporalColumns = ['from_position', 'to_position', 'valid_from', 'valid_to']
const identifier = /^[a-z_][a-z0-9_]{0,55}$/

/** The columns of a table, and the rows that fit them. */
export class TableColumns {
  readonly table: AnyTable
  /** Without the temporal ones. */
  readonly columns: readonly Column[]

  constructor(table: AnyTable, columns: readonly Column[]) {
    this.table = table
    this.columns = columns
  }

  /** Throws where a row has not exactly the table's columns with values of their types. */
  check(row: object): void {
    for (const { name, type, notNull } of this.columns) {
      const value: unknown = Reflect.get(row, name)
      if (value === null && !notNull) continue
      const rule = columnTypes[type]
      if (rule === undefined || !rule.accepts(value)) {
        throw new Error(
          `Cannot write a row of "${this.table.name}": column "${name}" is ${show(value)}, it must be ${rule?.wanted ?? type}${notNull ? '' : ' or null'}`,
        )
      }
    }
    const names = Object.keys(row)
    if (names.length !== this.columns.length) {
      const extra = names.find((name) => !this.columns.some((column) => column.name === name))
      throw new Error(`Cannot write a row of "${this.table.name}": it has no column "${extra}"`)
    }
  }

  /** The key of a row as a member of the JSON array that carries it. */
  keyToJson(key: object): Record<string, unknown> {
    const columns = this.columns.filter(({ name }) => this.table.key.includes(name))
    return Object.fromEntries(columns.map(({ name, type }) => [name, jsonOf(type, Reflect.get(key, name))]))
  }

  /** The values of one column of rows, as a parameter: an array of the column's type. */
  arrayOf({ name, type }: Column, rows: readonly object[]): Uint8Array {
    const columnType = columnTypes[type]
    if (columnType === undefined) throw new Error(`Cannot write column "${name}": it has the type ${type}`)
    const values = rows.map((row): unknown => Reflect.get(row, name))
    if (values.every(isBigint)) return int8Array(values)
    return arrayOfValues(
      columnType.oid,
      values.map((value) => (value === null ? null : columnType.toBinary(value))),
    )
  }

  /** The row as a member of the JSON array that carries it. */
  toJson(row: object): Record<string, unknown> {
    const json: Record<string, unknown> = {}
    for (const { name, type } of this.columns) json[name] = jsonOf(type, Reflect.get(row, name))
    return json
  }
}

function jsonOf(type: string, value: unknown): unknown {
  return value === null ? null : columnTypes[type]?.toJson(value)
}

/** All columns of a table, temporal ones included; none where it does not exist. */
export async function readTableColumns(
  client: ClientBase,
  { schema, table }: { readonly schema: string; readonly table: string },
): Promise<readonly Column[]> {
  return (await readColumnsByTable(client, { schema, tables: [table] })).get(table) ?? []
}

async function readColumnsByTable(
  client: ClientBase,
  { schema, tables }: { readonly schema: string; readonly tables: readonly string[] },
): Promise<ReadonlyMap<string, readonly Column[]>> {
  const { rows } = await client.query<Column & { readonly table: string }>(
    `select c.relname as table, a.attname as name, format_type(a.atttypid, null) as type, a.attnotnull as "notNull"
      from pg_class c join pg_attribute a on a.attrelid = c.oid
      where c.relnamespace = to_regnamespace(quote_ident($1::text)) and c.relname = any ($2::text[])
        and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [schema, tables],
  )
  const found = new Map<string, Column[]>()
  for (const { table, ...column } of rows) {
    const columns = found.get(table)
    if (columns === undefined) found.set(table, [column])
    else columns.push(column)
  }
  return found
}

/** Reads the columns of tables in a schema, in one go. Throws where one does not exist or is not as a temporal table must be. */
export async function readColumns(
  client: ClientBase,
  { schema, tables }: { readonly schema: string; readonly tables: readonly AnyTable[] },
): Promise<ReadonlyMap<AnyTable, TableColumns>> {
  const found = await readColumnsByTable(client, { schema, tables: tables.map(({ name }) => name) })
  return new Map(tables.map((table) => [table, checkedColumns(table, found.get(table.name) ?? [])]))
}

function checkedColumns(table: AnyTable, rows: readonly Column[]): TableColumns {
  const complain = (why: string): never => {
    throw new Error(`Cannot use table "${table.name}" as a read model: ${why}`)
  }
  if (rows.length === 0) complain('it does not exist')
  if (!identifier.test(table.name)) complain('its name is not a plain lower-case identifier')
  for (const name of temporalColumns) {
    if (!rows.some((row) => row.name === name))
      complain(`it has no column "${name}" (like temporal_row including comments)`)
  }
  const columns = rows.filter((row) => !temporalColumns.includes(row.name))
  for (const { name, type } of columns) {
    if (!identifier.test(name)) complain(`column "${name}" is not a plain lower-case identifier`)
    if (columnTypes[type] === undefined)
      complain(`column "${name}" has the type ${type}, which rows cannot carry exactly`)
  }
  for (const name of table.key) {
    const column = columns.find((each) => each.name === name)
    if (column === undefined) complain(`it has no key column "${name}"`)
    if (column?.notNull === false) complain(`key column "${name}" may be null`)
    if (column !== undefined && !['text', 'bigint', 'integer', 'boolean'].includes(column.type)) {
      complain(`key column "${name}" has the type ${column.type}`)
    }
  }
  return new TableColumns(table, columns)
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}
