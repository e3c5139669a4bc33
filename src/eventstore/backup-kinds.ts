/** How a column travels in PostgreSQL's binary COPY form. `hash` is a bytea of 32 bytes. */
export type BackupColumnType = 'int4' | 'int8' | 'uuid' | 'text' | 'bytea' | 'hash'

/** A column of a backup: its name in the table, its type, and whether it may be null. */
export interface BackupColumn {
  readonly name: string
  readonly type: BackupColumnType
  readonly nullable: boolean
}

/** One kind of file of a backup: which table it holds and how that is cut into files. */
export interface BackupKind {
  readonly name: BackupKindName
  /** In the head of the file. */
  readonly code: number
  readonly table: string
  readonly columns: readonly BackupColumn[]
  /**
   * `segments`: by ranges of the first column, a growing int8; a range that is full never changes again, save for erasures.
   * `whole`: one file, written anew each time. `additions`: what no earlier file has.
   */
  readonly cut: 'segments' | 'whole' | 'additions'
  /** What one row is called, and its first column where that is told to people. */
  readonly unit: string
}

/** The kinds, as the names of files begin. */
export type BackupKindName =
  | 'categories'
  | 'types'
  | 'commits'
  | 'streams'
  | 'events'
  | 'blobs'
  | 'requests'
  | 'checkpoints'
  | 'keys'

const column = (name: string, type: BackupColumnType): BackupColumn => ({ name, type, nullable: false })
const nullable = (name: string, type: BackupColumnType): BackupColumn => ({ name, type, nullable: true })

/**
 * Everything of the log that cannot be computed from the rest, in the order in which a restore needs it. Not here: `log` (in the
 * manifest), `writer` (who has it open), `tree_edge`, `tile` and the skip blocks (computed), the read models (replayed).
 */
export const backupKinds: readonly BackupKind[] = [
  {
    name: 'categories',
    code: 1,
    table: 'category',
    columns: [column('category_id', 'int4'), column('name', 'text')],
    cut: 'whole',
    unit: 'category',
  },
  {
    name: 'types',
    code: 2,
    table: 'event_type',
    columns: [column('type_id', 'int4'), column('name', 'text'), column('schema_version', 'int4')],
    cut: 'whole',
    unit: 'event type',
  },
  {
    name: 'commits',
    code: 3,
    table: 'commit',
    columns: [
      column('commit_no', 'int8'),
      nullable('prev_commit', 'int8'),
      nullable('prev_last', 'int8'),
      column('first_pos', 'int8'),
      column('last_pos', 'int8'),
      column('at_us', 'int8'),
      column('epoch', 'int4'),
      column('root', 'hash'),
    ],
    cut: 'segments',
    unit: 'commit',
  },
  {
    name: 'streams',
    code: 4,
    table: 'stream',
    columns: [
      column('stream_id', 'int8'),
      column('name', 'text'),
      column('category_id', 'int4'),
      column('first_pos', 'int8'),
    ],
    cut: 'segments',
    unit: 'stream',
  },
  {
    name: 'events',
    code: 5,
    table: 'event',
    columns: [
      column('pos', 'int8'),
      column('stream_id', 'int8'),
      column('revision', 'int8'),
      column('type_id', 'int4'),
      column('commit_no', 'int8'),
      column('event_id', 'uuid'),
      nullable('data', 'bytea'),
      nullable('meta', 'bytea'),
      nullable('data_hash', 'bytea'),
    ],
    cut: 'segments',
    unit: 'position',
  },
  {
    name: 'blobs',
    code: 6,
    table: 'blob',
    columns: [column('sha256', 'hash'), column('bytes', 'bytea')],
    cut: 'additions',
    unit: 'big text',
  },
  {
    name: 'requests',
    code: 7,
    table: 'request',
    columns: [column('request_id', 'uuid'), column('first_pos', 'int8'), column('last_pos', 'int8')],
    cut: 'whole',
    unit: 'request',
  },
  {
    name: 'checkpoints',
    code: 8,
    table: 'signed_checkpoint',
    columns: [column('size', 'int8'), column('note', 'text')],
    cut: 'whole',
    unit: 'signed checkpoint',
  },
  {
    name: 'keys',
    code: 9,
    table: 'log_key',
    columns: [column('verifier_key', 'text'), column('first_size', 'int8')],
    cut: 'whole',
    unit: 'public key',
  },
]

/** The kind of a name. */
export function backupKind(name: BackupKindName): BackupKind {
  const found = backupKinds.find((kind) => kind.name === name)
  if (found === undefined) throw new Error(`Cannot find the kind of backup file "${name}"`)
  return found
}

/** The columns as SQL names them. */
export function columnList(kind: BackupKind, prefix = ''): string {
  return kind.columns.map(({ name }) => `${prefix}${name}`).join(', ')
}
