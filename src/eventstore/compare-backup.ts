import pg from 'pg'
import { copyOut } from './backup-copy-out.ts'
import type { BackupManifest } from './backup-manifest.ts'
import { readBackupFile } from './backup-reader.ts'
import { copyField } from './backup-row.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { clientConfig } from './postgres-client.ts'

/** How a backup stands to the log it was made of, as that is now. */
export type BackupComparison =
  | { readonly kind: 'other-log'; readonly logId: string }
  /** The log's commit of the backup's head has another root, or is missing: one of the two went another way. */
  | { readonly kind: 'diverged'; readonly position: bigint; readonly liveRoot: string | null }
  | {
      readonly kind: 'same'
      readonly position: bigint
      readonly commitNo: bigint
      readonly root: string
      /** What was recorded after the backup: a restore would lack it. */
      readonly missing: {
        readonly positions: { readonly first: bigint; readonly last: bigint } | null
        readonly commits: { readonly first: bigint; readonly last: bigint } | null
        readonly blobs: bigint
      }
    }

/** Compares the backup in a directory with a log that runs. */
export async function compareBackup(
  dir: string,
  { manifest, address }: { readonly manifest: BackupManifest; readonly address: PostgresAddress },
): Promise<BackupComparison> {
  const client = new pg.Client(clientConfig(address, 'chronovisor drill'))
  client.on('error', () => undefined) // what is under way rejects
  await client.connect()
  try {
    await client.query('begin isolation level repeatable read, read only')
    const { log, head } = manifest
    const { rows } = await client.query<LiveRow>(
      `select l.log_id, c.commit_no, c.last_pos, encode(c.root, 'hex') as root,
          (select encode(root, 'hex') from commit where commit_no = $1::int8) as same_root
        from log l, lateral (select * from commit order by commit_no desc limit 1) c`,
      [head.commitNo],
    )
    const live = rows[0]
    if (live === undefined || live.log_id !== log.logId) return { kind: 'other-log', logId: live?.log_id ?? 'none' }
    if (live.same_root !== head.root) return { kind: 'diverged', position: live.last_pos, liveRoot: live.same_root }
    const after = (from: bigint, to: bigint) => (to > from ? { first: from + 1n, last: to } : null)
    const missing = {
      positions: after(head.position, live.last_pos),
      commits: after(head.commitNo, live.commit_no),
      blobs: await missingBlobs(client, { dir, manifest }),
    }
    return { kind: 'same', position: live.last_pos, commitNo: live.commit_no, root: live.root, missing }
  } finally {
    await client.end().catch(() => undefined)
  }
}

interface LiveRow {
  readonly log_id: string
  readonly commit_no: bigint
  readonly last_pos: bigint
  readonly root: string
  readonly same_root: string | null
}

async function missingBlobs(
  client: pg.Client,
  { dir, manifest }: { readonly dir: string; readonly manifest: BackupManifest },
): Promise<bigint> {
  const known = new Set<string>()
  for (const file of manifest.files.filter(({ kind }) => kind === 'blobs')) {
    const options = { logId: manifest.log.logId, onDamage: () => undefined }
    for await (const { rows } of readBackupFile(dir, file, options)) {
      for (const row of rows) known.add(copyField(row, 0)?.toString('base64') ?? '')
    }
  }
  let missing = 0n
  for await (const rows of copyOut(client, 'select sha256 from blob', { fields: 1 })) {
    for (const row of rows) if (!known.has(copyField(row, 0)?.toString('base64') ?? '')) missing += 1n
  }
  return missing
}
