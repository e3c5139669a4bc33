import { randomUUID } from 'node:crypto'
import type { ClientBase } from 'pg'
import { LogCorruptError } from './append-errors.ts'
import { leafFormat } from './event-leaf.ts'
import type { LogHead } from './recorded-event.ts'
import type { LogRow } from './log-origin.ts'
import { emptyRoot } from './merkle-hash.ts'

/**
 * Reads the log's own row, or makes the log: its row and the genesis commit. The caller holds the lock. Throws where the log belongs to
 * another host than the one that is wanted (null: any; a new log gets a new one).
 */
export async function ensureLog(
  client: ClientBase,
  {
    hostId,
    nowUs,
    partitionEvents,
  }: { readonly hostId: string | null; readonly nowUs: bigint; readonly partitionEvents: bigint },
): Promise<LogRow> {
  const before = await readLog(client)
  if (before === undefined) {
    await client.query('begin')
    await client.query('insert into log values ($1::uuid, $2::uuid, $3::int8, $4::int4, $5::int8)', [
      randomUUID(),
      hostId ?? randomUUID(),
      nowUs,
      leafFormat,
      partitionEvents,
    ])
    await client.query(
      `insert into commit (commit_no, prev_commit, prev_last, first_pos, last_pos, at_us, epoch, root)
        values (0, null, null, 0, -1, $1::int8, 0, $2::bytea)`,
      [nowUs, emptyRoot],
    )
    await client.query('commit')
  }
  const log = before ?? (await readLog(client))
  if (log === undefined) throw new LogCorruptError('Cannot open the log: it has no row of its own')
  if (log.format !== leafFormat) {
    throw new LogCorruptError(`Cannot open the log: its format is ${log.format}, this program writes ${leafFormat}`)
  }
  if (hostId !== null && log.host_id !== hostId.toLowerCase()) {
    throw new Error(`Cannot open the log: it belongs to host "${log.host_id}", this host is "${hostId}"`)
  }
  return {
    logId: log.log_id,
    hostId: log.host_id,
    createdAtUs: log.created_at_us,
    format: log.format,
    partitionEvents: log.partition_events,
  }
}

/** The last commit as the database has it. */
export async function readHead(client: ClientBase): Promise<LogHead> {
  const { rows } = await client.query<CommitRow>(
    'select commit_no, last_pos, at_us, epoch, root from commit order by commit_no desc limit 1',
  )
  const row = rows[0]
  if (row === undefined) throw new LogCorruptError('Cannot open the log: it has no genesis commit')
  return { commitNo: row.commit_no, position: row.last_pos, recordedAtUs: row.at_us, epoch: row.epoch, root: row.root }
}

interface CommitRow {
  readonly commit_no: bigint
  readonly last_pos: bigint
  readonly at_us: bigint
  readonly epoch: number
  readonly root: Buffer
}

interface StoredLog {
  readonly log_id: string
  readonly host_id: string
  readonly created_at_us: bigint
  readonly format: number
  readonly partition_events: bigint
}

async function readLog(client: ClientBase): Promise<StoredLog | undefined> {
  const columns = 'log_id, host_id, created_at_us, format, partition_events'
  return (await client.query<StoredLog>(`select ${columns} from log`)).rows[0]
}
