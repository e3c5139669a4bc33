/** What a column of a read model may hold: text, bigint (int8), number (int4), boolean, bytes (bytea), JSON (jsonb) or null. */
export type RowValue = bigint | Uint8Array | JsonValue

/** A value of a jsonb column. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [member: string]: JsonValue | undefined }

/** The shape every row type must have: columns named as in SQL, each a {@link RowValue}. */
export type RowShape<Row> = { readonly [Column in keyof Row]: RowValue }

/** What an index looks rows up by; a row with null is not in that index. */
export type IndexValue = string | bigint | number | null

declare const typesOf: unique symbol

/** A table of a read model, its row type forgotten: what the engine works with. */
export interface AnyTable {
  readonly name: string
  readonly key: readonly string[]
  readonly indexNames: readonly string[]
  /** The column that an index is over; null where it is over a function of the row, which only rows in memory can be found by. */
  indexColumn(index: string): string | null
  /** The value of `row` in an index. */
  indexValue(index: string, row: object): IndexValue
}

/** A temporal table of a read model, declared by {@link table}. */
export interface Table<Row, KeyColumn extends keyof Row, IndexName extends string> extends AnyTable {
  readonly [typesOf]?: { readonly row: Row; readonly key: KeyColumn; readonly index: IndexName }
}

/**
 * The current rows of a table, in memory: the same rows as in the database, found by key or by a declared index without waiting.
 * Rows come in no particular order.
 */
export interface Rows<Row, Key = Partial<Row>, IndexName extends string = never> {
  readonly size: number
  get(key: Key): Row | undefined
  all(): IterableIterator<Row>
  by(index: IndexName, value: Exclude<IndexValue, null>): readonly Row[]
}

/** The rows of a declared table. */
export type RowsOf<T> =
  T extends Table<infer Row, infer KeyColumn, infer IndexName> ? Rows<Row, Pick<Row, KeyColumn>, IndexName> : never

/** The current rows of a table that is not kept in memory: found by key or by an index over a column, never all of them. */
export type StoredRows<Row, Key = Partial<Row>, IndexName extends string = never> = Pick<
  Rows<Row, Key, IndexName>,
  'get' | 'by'
>

/** The rows of a declared table of a background projection. */
export type StoredRowsOf<T> =
  T extends Table<infer Row, infer KeyColumn, infer IndexName>
    ? StoredRows<Row, Pick<Row, KeyColumn>, IndexName>
    : never

/** A change of one row; the engine gives it its time and position. */
export type RowChange =
  | { readonly kind: 'upsert'; readonly table: AnyTable; readonly row: object }
  | { readonly kind: 'remove'; readonly table: AnyTable; readonly key: object }

/**
 * Declares a table: its SQL name, its key columns, and the indexes rows are found by, each the name of a column or a function of the row.
 * The SQL file beside the projection creates it (`create table x (…, like temporal_row including comments)`); the engine adds keys.
 *
 * @example
 * export const diskLayers = table<DiskLayerRow>()('disk_layers', ['domain_uuid', 'disk', 'layer'], { by_path: (row) => row.path })
 */
export function table<Row extends RowShape<Row>>(): <
  const KeyColumn extends keyof Row & string,
  const IndexName extends string = never,
>(
  name: string,
  key: readonly KeyColumn[],
  indexes?: Readonly<Record<IndexName, (keyof Row & string) | ((row: Row) => IndexValue)>>,
) => Table<Row, KeyColumn, IndexName>
export function table(): (
  name: string,
  key: readonly string[],
  indexes?: Readonly<Record<string, LooseIndex>>,
) => AnyTable {
  return (name, key, indexes = {}) => ({
    name,
    key,
    indexNames: Object.keys(indexes),
    indexColumn: (index) => {
      const over = indexes[index]
      return typeof over === 'string' ? over : null
    },
    indexValue: (index, row) => {
      const over = indexes[index]
      if (over === undefined) return null
      return typeof over === 'string' ? columnValue(row, over) : over(row)
    },
  })
}

type LooseIndex = string | { bivariant(row: object): IndexValue }['bivariant']

function columnValue(row: object, column: string): IndexValue {
  const value: unknown = Reflect.get(row, column)
  return typeof value === 'string' || typeof value === 'bigint' || typeof value === 'number' ? value : null
}

/** The row is as given from this event on: opened if it is new, a new version if it differs, nothing if it does not. */
export function upsert<Row extends object, KeyColumn extends keyof Row, IndexName extends string>(
  of: Table<Row, KeyColumn, IndexName>,
  row: NoInfer<Row>,
): RowChange {
  return { kind: 'upsert', table: of, row }
}

/** The row with this key is gone from this event on; nothing where there is none. */
export function remove<Row extends object, KeyColumn extends keyof Row, IndexName extends string>(
  of: Table<Row, KeyColumn, IndexName>,
  key: NoInfer<Pick<Row, KeyColumn>>,
): RowChange {
  return { kind: 'remove', table: of, key }
}
