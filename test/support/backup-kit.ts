import { hash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeManifest } from '../../src/eventstore/backup-directory.ts'
import { backupFormat } from '../../src/eventstore/backup-file.ts'
import { backupKind, type BackupKindName } from '../../src/eventstore/backup-kinds.ts'
import type { BackupFile, BackupManifest } from '../../src/eventstore/backup-manifest.ts'
import { readBackupFile } from '../../src/eventstore/backup-reader.ts'
import type { CopyRow } from '../../src/eventstore/backup-row.ts'
import { BackupSegmentWriter } from '../../src/eventstore/backup-segment-writer.ts'
import { SegmentedTree } from '../../src/eventstore/segmented-tree.ts'

/** The log of every backup made here. */
export const backupLogId = '11111111-2222-4333-8444-555555555555'

/** A row in binary COPY form. */
export function copyRow(fields: readonly (Uint8Array | null)[]): Buffer {
  const parts: Uint8Array[] = [int(2, fields.length)]
  for (const field of fields) parts.push(int(4, field?.length ?? -1), field ?? new Uint8Array())
  return Buffer.concat(parts)
}

/** A number of so many bytes, big-endian. */
export function int(bytes: 2 | 4 | 8, value: number): Buffer {
  const buffer = Buffer.alloc(bytes)
  if (bytes === 8) buffer.writeBigInt64BE(BigInt(value))
  else buffer.writeIntBE(value, 0, bytes)
  return buffer
}

/** The row of an event. */
export function eventRow(position: number, data = `{"at":${position}}`): Buffer {
  const id = hash('sha256', String(position), 'buffer').subarray(0, 16)
  const keys = [int(8, position), int(8, 0), int(8, position), int(4, 0), int(8, position + 1), id]
  return copyRow([...keys, Buffer.from(data), Buffer.from('{}'), null])
}

/** The row of a big text. */
export function blobRow(text: string): Buffer {
  return copyRow([hash('sha256', text, 'buffer'), Buffer.from(text)])
}

/** A directory below /tmp that goes with what it is bound to. */
export async function scratchDirectory(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'backup-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** Writes a file of a backup; keys are the numbers of the rows from `firstKey` on. */
export async function writeSegment(
  dir: string,
  kind: BackupKindName,
  {
    rows,
    firstKey = 0,
    logId = backupLogId,
  }: { readonly rows: readonly Buffer[]; readonly firstKey?: number; readonly logId?: string },
): Promise<BackupFile> {
  const head = { kind: backupKind(kind), logId, firstKey: BigInt(firstKey) }
  const writer = await BackupSegmentWriter.open(dir, head)
  for (const [index, row] of rows.entries()) {
    writer.add(row, BigInt(firstKey + index))
    if (writer.isFull) await writer.flush()
  }
  return await writer.finish()
}

/** A backup of some events and big texts, without a database: segments of 256 events, whose leaves are made up. */
export async function makeBackup(dir: string, { events }: { readonly events: number }): Promise<BackupManifest> {
  const tree = new SegmentedTree({ segmentRows: 256 })
  const files: BackupFile[] = []
  for (let first = 0; first < events; first += 256) {
    const rows = Array.from({ length: Math.min(256, events - first) }, (_, index) => eventRow(first + index))
    for (const row of rows) tree.add(hash('sha256', row, 'buffer'))
    const file = await writeSegment(dir, 'events', { rows, firstKey: first })
    files.push({ ...file, tree: Buffer.from(tree.endSegment()).toString('hex') })
  }
  files.push(
    await writeSegment(dir, 'blobs', { rows: [blobRow('<domain/>'), blobRow(randomBytes(64).toString('hex'))] }),
  )
  const head = { commitNo: BigInt(events), position: BigInt(events - 1), recordedAtUs: 2n, epoch: 1 }
  const manifest: BackupManifest = {
    format: backupFormat,
    program: 'test',
    madeAtUs: 3n,
    segmentRows: 256,
    log: { logId: backupLogId, hostId: backupLogId, createdAtUs: 1n, format: 1, partitionEvents: 1n << 24n },
    head: { ...head, root: Buffer.from(tree.root()).toString('hex') },
    migrations: [],
    checkpoint: null,
    notHere: [],
    files,
  }
  await writeManifest(dir, manifest)
  return manifest
}

/** Writes a file of a backup anew with other rows, every hash of it and of the manifest right. */
export async function rewriteSegment(
  dir: string,
  manifest: BackupManifest,
  { file, change }: { readonly file: BackupFile; readonly change: (row: CopyRow) => Buffer },
): Promise<void> {
  const { logId } = manifest.log
  const rows: Buffer[] = []
  for await (const page of readBackupFile(dir, file, { logId })) rows.push(...page.rows.map(change))
  const written = await writeSegment(dir, file.kind, { rows, firstKey: Number(file.first), logId })
  const files = manifest.files.map((each) => (each.name === file.name ? { ...file, ...written } : each))
  await writeManifest(dir, { ...manifest, files })
}

/** Changes the bytes of a file. */
export async function changeFile(path: string, change: (bytes: Buffer) => Buffer): Promise<void> {
  await writeFile(path, change(await readFile(path)))
}

/** The bytes with one bit turned round. */
export function flip(bytes: Buffer, at: number, bit: number): Buffer {
  const changed = Buffer.from(bytes)
  changed[at] = (changed[at] ?? 0) ^ (1 << bit)
  return changed
}
