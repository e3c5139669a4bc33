import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { takeAdvisoryLock } from './advisory-lock.ts'
import { LogCorruptError, SchemaTooNewError, WriterBusyError } from './append-errors.ts'
import { BackupRefusedError, requireManifest } from './backup-directory.ts'
import { type BackupKind, backupKinds, columnList } from './backup-kinds.ts'
import { type BackupManifest, manifestFaults, manifestName } from './backup-manifest.ts'
import { BackupDamagedError, readBackupFile } from './backup-reader.ts'
import { copyEnd, copyHead } from './backup-row.ts'
import { leafFormat } from './event-leaf.ts'
import { migrate } from './migrate.ts'
import { readSqlFiles } from './package-files.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { clientConfig } from './postgres-client.ts'
import { type RestoreCheck, RestoreChecker, type RestoreProgress } from './restore-checker.ts'
import type { NoteVerifier } from './signed-note.ts'
import { writerLockKey } from './writer-session.ts'

/** How to restore a log. */
export interface RestoreOptions {
  /** A database without tables. */
  readonly address: PostgresAddress
  /** A directory that `backupLog` made. */
  readonly dir: string
  /** Only these keys may have signed its checkpoints, and one there must be; not given: those that the log itself names. */
  readonly trusted?: readonly NoteVerifier[]
  readonly onProgress?: (progress: RestoreProgress) => void
  readonly signal?: AbortSignal
}

/** What was restored, and what was compared before it was. */
export interface RestoreReport {
  readonly manifest: BackupManifest
  readonly checked: RestoreCheck
}

const lockWaitMs = 10_000

/** The database is not empty, or not one to restore into: the message says what is there. */
export class RestoreRefusedError extends Error {
  override readonly name = 'RestoreRefusedError'
}

/**
 * Brings a backup into an empty database: schema, rows, then the tree recomputed from what the database now holds and compared with the
 * root of every commit and the signed checkpoint. All in one transaction: what fails leaves the database as it was. Throws
 * {@link RestoreRefusedError}, BackupDamagedError, ManifestError, SchemaTooNewError, LogCorruptError.
 */
export async function restoreLog(options: RestoreOptions): Promise<RestoreReport> {
  const manifest = await requireManifest(options.dir)
  const [fault] = manifestFaults(manifest)
  if (fault !== undefined) throw new BackupDamagedError({ file: manifestName, kind: null, what: fault, lost: null })
  await requireKnown(manifest)
  const client = new pg.Client(clientConfig(options.address, 'chronovisor restore'))
  client.on('error', () => undefined) // what is under way rejects
  const cut = (): void => void client.end().catch(() => undefined)
  options.signal?.throwIfAborted()
  await client.connect()
  options.signal?.addEventListener('abort', cut, { once: true })
  try {
    // A daemon that opened the database in the meantime would make a log of its own there.
    if (!(await takeAdvisoryLock(client, writerLockKey, { waitMs: lockWaitMs, signal: options.signal }))) {
      throw new WriterBusyError('Cannot restore: a daemon has the database open, or another restore')
    }
    await client.query('begin')
    const checked = await new Restoring(client, manifest, options).run()
    await client.query('commit')
    return { manifest, checked }
  } catch (error) {
    options.signal?.throwIfAborted()
    throw error
  } finally {
    options.signal?.removeEventListener('abort', cut)
    await client.end().catch(() => undefined)
  }
}

class Restoring {
  readonly #client: pg.Client
  readonly #manifest: BackupManifest
  readonly #options: RestoreOptions

  constructor(client: pg.Client, manifest: BackupManifest, options: RestoreOptions) {
    this.#client = client
    this.#manifest = manifest
    this.#options = options
  }

  async run(): Promise<RestoreCheck> {
    await requireEmpty(this.#client)
    await migrate(this.#client, undefined, { within: 'transaction' })
    await this.#client.query(
      "set local work_mem = '64MB'; set local maintenance_work_mem = '256MB'; set local jit = off",
    )
    await this.#makeLog()
    const keys = await dropForeignKeys(this.#client)
    for (const kind of backupKinds) await this.#copy(kind)
    for (const statement of derived) await this.#client.query(statement)
    // One query for each instead of one for each row.
    for (const key of keys)
      await this.#client.query(`alter table ${key.table} add constraint ${key.name} ${key.definition}`)
    const { onProgress, signal, trusted } = this.#options
    return await new RestoreChecker(this.#client, {
      manifest: this.#manifest,
      ...(trusted === undefined ? {} : { trusted }),
      ...(onProgress === undefined ? {} : { onProgress }),
      ...(signal === undefined ? {} : { signal }),
    }).check()
  }

  async #makeLog(): Promise<void> {
    const { log, head } = this.#manifest
    await this.#client.query(
      'insert into log (log_id, host_id, created_at_us, format, partition_events) values ($1::uuid, $2::uuid, $3::int8, $4::int4, $5::int8)',
      [log.logId, log.hostId, log.createdAtUs, log.format, log.partitionEvents],
    )
    for (let at = 0n; at <= head.position; at += log.partitionEvents) {
      await this.#client.query('select log_add_partition($1::int8)', [at])
    }
  }

  async #copy(kind: BackupKind): Promise<void> {
    const files = this.#manifest.files.filter((file) => file.kind === kind.name)
    if (files.length === 0) return
    const target = this.#client.query(copyFrom(`copy ${kind.table} (${columnList(kind)}) from stdin (format binary)`))
    await pipeline(Readable.from(this.#rows(kind), { objectMode: false }), target)
    const total = files.reduce((sum, { rows }) => sum + rows, 0)
    if (target.rowCount !== total) {
      throw new LogCorruptError(`Cannot restore ${kind.name}: the database took ${target.rowCount} rows of ${total}`)
    }
  }

  /** All rows of a kind as COPY wants them. */
  async *#rows(kind: BackupKind): AsyncGenerator<Buffer, void> {
    const files = this.#manifest.files.filter((file) => file.kind === kind.name)
    const total = BigInt(files.reduce((sum, { rows }) => sum + rows, 0))
    let done = 0n
    yield copyHead
    for (const file of files) {
      for await (const { bytes, rows } of readBackupFile(this.#options.dir, file, {
        logId: this.#manifest.log.logId,
      })) {
        this.#options.signal?.throwIfAborted()
        yield bytes
        done += BigInt(rows.length)
        this.#options.onProgress?.({ step: kind.name, done, total })
      }
    }
    yield copyEnd
  }
}

// What the writer keeps beside the events, computed from them.
const derived = [
  'insert into type_block (type_id, block) select distinct type_id, pos / 4096 from event',
  `insert into category_block (category_id, block)
    select distinct s.category_id, e.pos / 4096 from event e join stream s using (stream_id)`,
  'analyze category, event_type, commit, stream, event, blob, request',
]

interface ForeignKey {
  readonly table: string
  readonly name: string
  readonly definition: string
}

async function dropForeignKeys(client: pg.Client): Promise<readonly ForeignKey[]> {
  const tables = backupKinds.map(({ table }) => table)
  const { rows } = await client.query<ForeignKey & { readonly [column: string]: unknown }>(
    `select conrelid::regclass::text as table, quote_ident(conname) as name, pg_get_constraintdef(oid) as definition
      from pg_constraint where contype = 'f' and conrelid = any ($1::text[]::regclass[])`,
    [tables],
  )
  for (const { table, name } of rows) await client.query(`alter table ${table} drop constraint ${name}`)
  return rows
}

/** Refuses a database that has any table, naming what it is. */
async function requireEmpty(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and not exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
      order by 1`,
  )
  const names = rows.map(({ name }) => name)
  if (names.length === 0) return
  const log = names.includes('log') && names.includes('commit') ? await describeLog(client) : null
  const tables = `${names.length} tables (${names.slice(0, 5).join(', ')}${names.length > 5 ? ', ...' : ''})`
  throw new RestoreRefusedError(`Cannot restore into this database: it holds ${log ?? tables}, it must be empty`)
}

async function describeLog(client: pg.Client): Promise<string | null> {
  const { rows } = await client.query<{ log_id: string; host_id: string; last: bigint | null }>(
    'select log_id, host_id, (select max(last_pos) from commit) as last from log',
  )
  const [log] = rows
  return log === undefined ? null : `log ${log.log_id} of host ${log.host_id} up to position ${log.last ?? -1n}`
}

/** A backup of a newer program may hold what this one does not know. */
async function requireKnown({ migrations, log }: BackupManifest): Promise<void> {
  const known = await readSqlFiles('migrations')
  const beyond = migrations.find(({ number }) => number > known.length)
  if (beyond !== undefined) {
    throw new SchemaTooNewError(
      `Cannot restore: the backup is of a schema with migration ${beyond.number} ("${beyond.name}"), this program knows up to ${known.length}`,
    )
  }
  if (log.format !== leafFormat) {
    throw new BackupRefusedError(
      `Cannot restore: the log has the format ${log.format}, this program knows ${leafFormat}`,
    )
  }
}
