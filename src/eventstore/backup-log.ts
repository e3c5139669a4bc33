import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { takeAdvisoryLock } from './advisory-lock.ts'
import { SchemaTooNewError } from './append-errors.ts'
import { backupFormat } from './backup-file.ts'
import { BackupCopier, type BackupProgress } from './backup-copier.ts'
import { BackupRefusedError, openBackupDirectory, writeManifest } from './backup-directory.ts'
import { backupKinds } from './backup-kinds.ts'
import type { BackupFile, BackupManifest } from './backup-manifest.ts'
import { readSqlFiles } from './package-files.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { clientConfig } from './postgres-client.ts'
import { leastSegmentRows } from './segmented-tree.ts'

/** How to back up a log. */
export interface BackupOptions {
  readonly address: PostgresAddress
  /** Made where it is missing; else empty, or an earlier backup of the same log, which is brought up to date. */
  readonly dir: string
  /** Name and version of the program, for the manifest. */
  readonly program?: string
  /** Positions, commits and streams of one file, a power of two from 256 on; an earlier backup keeps its own. */
  readonly segmentRows?: number
  readonly onProgress?: (progress: BackupProgress) => void
  readonly signal?: AbortSignal
  readonly nowUs?: () => bigint
}

/** What a backup run did. Names are those of files in the directory. */
export interface BackupReport {
  readonly manifest: BackupManifest
  readonly written: readonly BackupFile[]
  readonly kept: readonly BackupFile[]
  /** Files of the earlier backup that were damaged or missing, and were written again. */
  readonly repaired: readonly string[]
  /** Files of the earlier backup whose place others took. */
  readonly removed: readonly string[]
  /** Head of the backup before, null for the first. */
  readonly before: BackupManifest['head'] | null
}

const defaultSegmentRows = 1 << 16
const lockWaitMs = 2_000
/** The session advisory lock of whoever backs up a log: "cv-backu" as a number. */
export const backupLockKey = String(BigInt('0x63762d6261636b75'))

/** What a backup does not hold, as manifest and help say it. */
export const notInBackup: readonly string[] = [
  'read models: replayed from the log at the next start',
  'disk images, snapshots and managed save images of domains',
  'log-signing-key of the state directory: keep a copy elsewhere, apart from the backup; without it a new key is made',
  'log-checkpoint of the state directory: the newest signed checkpoint, as it was printed or sent elsewhere',
  'grpc-credentials of the state directory, the configuration file, local.conf of the embedded PostgreSQL',
  'log files of guests and of the database server',
]

/**
 * Copies the log into a directory while it serves: everything up to the last commit of one snapshot, with the tree recomputed over what
 * is copied. Files of an earlier backup that still hold are kept. Until the manifest is renamed the earlier backup is the one that
 * counts. Throws {@link BackupRefusedError}, LogCorruptError, ManifestError.
 */
export async function backupLog(options: BackupOptions): Promise<BackupReport> {
  const client = new pg.Client(clientConfig(options.address, 'chronovisor backup'))
  client.on('error', () => undefined) // what is under way rejects
  const cut = (): void => void client.end().catch(() => undefined)
  options.signal?.throwIfAborted()
  await client.connect()
  options.signal?.addEventListener('abort', cut, { once: true })
  try {
    return await backUp(client, options)
  } finally {
    options.signal?.removeEventListener('abort', cut)
    await client.end().catch(() => undefined)
  }
}

async function backUp(client: pg.Client, options: BackupOptions): Promise<BackupReport> {
  const { dir } = options
  const segmentRows = options.segmentRows ?? defaultSegmentRows
  if (segmentRows < leastSegmentRows || (segmentRows & (segmentRows - 1)) !== 0) {
    throw new Error(
      `Cannot back up with segments of ${segmentRows} rows: it must be a power of two from ${leastSegmentRows} on`,
    )
  }
  if (!(await takeAdvisoryLock(client, backupLockKey, { waitMs: lockWaitMs, signal: options.signal }))) {
    throw new BackupRefusedError('Cannot back up: another backup of this log is being made')
  }
  await client.query('begin isolation level repeatable read, read only')
  await client.query("set local work_mem = '64MB'; set local jit = off")
  const about = await readAbout(client)
  const earlier = await openBackupDirectory(dir)
  if (earlier !== null) await checkSameLog(client, { earlier, about, dir })
  const copier = new BackupCopier(client, {
    dir,
    segmentRows: earlier?.segmentRows ?? segmentRows,
    earlier,
    logId: about.log.logId,
    head: about.head,
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  for (const kind of backupKinds) await copier.copy(kind)
  const files = copier.files
  const manifest: BackupManifest = {
    format: backupFormat,
    program: options.program ?? 'chronovisor',
    madeAtUs: options.nowUs?.() ?? BigInt(Date.now()) * 1000n,
    segmentRows: copier.segmentRows,
    ...about,
    notHere: [...notInBackup],
    files: [...files],
  }
  await client.query('rollback')
  await writeManifest(dir, manifest)
  const names = new Set(files.map(({ name }) => name))
  const removed = (earlier?.files ?? []).map(({ name }) => name).filter((name) => !names.has(name))
  for (const name of removed) await rm(join(dir, name), { force: true })
  const { written, kept, repaired } = copier
  return { manifest, written, kept, repaired, removed, before: earlier?.head ?? null }
}

type About = Pick<BackupManifest, 'log' | 'head' | 'migrations' | 'checkpoint'>

async function readAbout(client: pg.Client): Promise<About> {
  const { rows: tables } = await client.query<{ made: boolean }>("select to_regclass('log') is not null as made")
  if (tables[0]?.made !== true) throw new BackupRefusedError('Cannot back up: the database holds no event log')
  const migrations = await readMigrations(client)
  const { rows } = await client.query<Record<string, unknown> & AboutRow>(
    `select log_id, host_id, created_at_us, format, partition_events, commit_no, last_pos, at_us, epoch, encode(root, 'hex') as root
      from log, lateral (select * from commit order by commit_no desc limit 1) c`,
  )
  const row = rows[0]
  if (row === undefined) throw new BackupRefusedError('Cannot back up: the event log was not made to its end')
  return {
    log: {
      logId: row.log_id,
      hostId: row.host_id,
      createdAtUs: row.created_at_us,
      format: row.format,
      partitionEvents: row.partition_events,
    },
    head: {
      commitNo: row.commit_no,
      position: row.last_pos,
      recordedAtUs: row.at_us,
      epoch: row.epoch,
      root: row.root,
    },
    migrations,
    checkpoint: await readCheckpoint(client),
  }
}

/** A newer program may keep what this one does not know, and a backup must have all. */
async function readMigrations(client: pg.Client): Promise<BackupManifest['migrations']> {
  const { rows } = await client.query<{ number: number; name: string; sha256: string }>(
    'select number, name, sha256 from schema_migration order by number',
  )
  const known = (await readSqlFiles('migrations')).length
  const beyond = rows.find(({ number }) => number > known)
  if (beyond === undefined) return rows
  throw new SchemaTooNewError(
    `Cannot back up: the schema has migration ${beyond.number} ("${beyond.name}"), this program knows up to ${known}`,
  )
}

interface AboutRow {
  readonly log_id: string
  readonly host_id: string
  readonly created_at_us: bigint
  readonly format: number
  readonly partition_events: bigint
  readonly commit_no: bigint
  readonly last_pos: bigint
  readonly at_us: bigint
  readonly epoch: number
  readonly root: string
}

/** The newest signed checkpoint; a log of an older program has no table of them. */
async function readCheckpoint(client: pg.Client): Promise<string | null> {
  const { rows } = await client.query<{ made: boolean }>("select to_regclass('signed_checkpoint') is not null as made")
  if (rows[0]?.made !== true) return null
  const found = await client.query<{ note: string }>('select note from signed_checkpoint order by size desc limit 1')
  return found.rows[0]?.note ?? null
}

/** An earlier backup may be brought up to date only by the log that it is of, which must still hold all of it. */
async function checkSameLog(
  client: pg.Client,
  { earlier, about, dir }: { readonly earlier: BackupManifest; readonly about: About; readonly dir: string },
): Promise<void> {
  const refuse = (why: string): never => {
    throw new BackupRefusedError(`Cannot back up to "${dir}": ${why}; name another directory`)
  }
  if (earlier.log.logId !== about.log.logId) {
    refuse(
      `it holds a backup of log ${earlier.log.logId} of host ${earlier.log.hostId}, this log is ${about.log.logId}`,
    )
  }
  const { commitNo, position, root } = earlier.head
  if (about.head.commitNo < commitNo) {
    refuse(`it reaches to position ${position}, the log itself only to ${about.head.position}: the log was set back`)
  }
  const { rows } = await client.query<{ root: string }>(
    "select encode(root, 'hex') as root from commit where commit_no = $1::int8",
    [commitNo],
  )
  if (rows[0]?.root !== root) {
    refuse(
      `its commit ${commitNo} has the root ${root}, that of the log is ${rows[0]?.root ?? 'missing'}: they went different ways`,
    )
  }
}
