/** The tables that the log consists of. Not here: `request` and `writer`, which would not be missed, and the read models, which are replayed. */
export const logTables = {
  log: { key: 'log_id', columns: ['log_id', 'host_id', 'created_at_us', 'format', 'partition_events'] },
  log_key: { key: 'verifier_key', columns: ['verifier_key', 'first_size'] },
  category: { key: 'category_id', columns: ['category_id', 'name'] },
  event_type: { key: 'type_id', columns: ['type_id', 'name', 'schema_version'] },
  stream: { key: 'stream_id', columns: ['stream_id', 'name', 'category_id', 'first_pos'] },
  commit: {
    key: 'commit_no',
    columns: ['commit_no', 'prev_commit', 'prev_last', 'first_pos', 'last_pos', 'at_us', 'epoch', 'root'],
  },
  event: {
    key: 'pos',
    columns: ['pos', 'stream_id', 'revision', 'type_id', 'commit_no', 'event_id', 'data', 'meta', 'data_hash'],
  },
  tile: { key: 'level, n, width', columns: ['level', 'n', 'width', 'hashes', 'root'] },
  tree_edge: { key: 'size', columns: ['size', 'hashes'] },
  signed_checkpoint: { key: 'size', columns: ['size', 'note'] },
  blob: { key: 'sha256', columns: ['sha256', 'bytes'] },
  type_block: { key: 'block, type_id', columns: ['type_id', 'block'] },
  category_block: { key: 'block, category_id', columns: ['category_id', 'block'] },
} as const satisfies Readonly<Record<string, { readonly key: string; readonly columns: readonly string[] }>>

/** Name of a table of the log. */
export type LogTable = keyof typeof logTables

/**
 * Where the rows of a log are read from: its database, or a backup of it. Each row is in PostgreSQL's binary COPY form: the number of
 * fields (int16), then for each its length (int32, -1 for null) and its bytes, in the order of {@link logTables}.
 */
export interface LogSource {
  /**
   * All rows of a table in the order of its key, some at a time; `from` leaves out those whose first key column, an int8, is smaller.
   * Null where the source does not hold that table because it can be computed from the others.
   */
  rows(table: LogTable, from?: bigint): AsyncIterable<readonly Buffer[]> | null
}

/** The fields of a row; null for null. Throws where it is not in COPY form or has not `count` fields. */
export function fieldsOf(row: Buffer, count: number): (Buffer | null)[] {
  const fields: (Buffer | null)[] = []
  let at = 2
  if (row.readInt16BE(0) !== count)
    throw new RangeError(`a row has ${row.readInt16BE(0)} fields, it must have ${count}`)
  for (let index = 0; index < count; index += 1) {
    const length = row.readInt32BE(at)
    at += 4
    fields.push(length === -1 ? null : row.subarray(at, at + length))
    if (length > 0) at += length
  }
  if (at !== row.length) throw new RangeError(`a row has ${row.length} bytes, its fields say ${at}`)
  return fields
}
