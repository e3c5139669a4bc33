import type pg from 'pg'
import { type BackupKind, backupKind, columnList } from './backup-kinds.ts'
import type { BackupFile } from './backup-manifest.ts'
import { readBackupFile } from './backup-reader.ts'
import { copyOut } from './backup-copy-out.ts'
import { copyField } from './backup-row.ts'

/** Which files of big texts stay, and the SELECTs whose rows make the new ones. */
export interface BlobPlan {
  readonly kept: readonly BackupFile[]
  readonly selects: readonly string[]
}

const textsAFile = 4_096

/**
 * Big texts have no order of their own: what is new is found by comparing hashes, about 100 bytes of memory a text. A file with a text
 * that the log no longer has (it was erased) is written again without it, and so are small files beside much that is new.
 */
export class BlobCopier {
  readonly #client: pg.Client
  readonly #options: { readonly dir: string; readonly logId: string; readonly signal: AbortSignal | undefined }
  readonly #kind: BackupKind = backupKind('blobs')

  constructor(client: pg.Client, options: { dir: string; logId: string; signal: AbortSignal | undefined }) {
    this.#client = client
    this.#options = options
  }

  async plan(earlier: readonly BackupFile[], isSound: (file: BackupFile) => Promise<boolean>): Promise<BlobPlan> {
    const { signal } = this.#options
    const fresh = new Set<string>()
    for await (const rows of copyOut(this.#client, 'select sha256 from blob', { fields: 1, signal })) {
      for (const row of rows) fresh.add(copyField(row, 0)?.toString('base64') ?? '')
    }
    const kept: BackupFile[] = []
    // The biggest first: a file stays where it is at least as big as all that would be written beside it.
    for (const file of earlier.toSorted((a, b) => b.rows - a.rows)) {
      if (!(await isSound(file))) continue
      const keys = await this.#keysOf(file)
      if (!keys.every((key) => fresh.has(key)) || file.rows < fresh.size - keys.length) continue
      for (const key of keys) fresh.delete(key)
      kept.push(file)
    }
    const keys = [...fresh]
    if (kept.length === 0 && keys.length <= textsAFile) {
      return { kept, selects: keys.length === 0 ? [] : [`select ${columnList(this.#kind)} from blob order by 1`] }
    }
    const selects: string[] = []
    for (let at = 0; at < keys.length; at += textsAFile) selects.push(this.#select(keys.slice(at, at + textsAFile)))
    return { kept, selects }
  }

  #select(keys: readonly string[]): string {
    const list = keys.map((key) => `"\\\\x${Buffer.from(key, 'base64').toString('hex')}"`).join(',')
    return `select ${columnList(this.#kind)} from blob where sha256 = any ('{${list}}'::bytea[]) order by 1`
  }

  async #keysOf(file: BackupFile): Promise<readonly string[]> {
    const keys: string[] = []
    for await (const { rows } of readBackupFile(this.#options.dir, file, this.#options)) {
      for (const row of rows) keys.push(copyField(row, 0)?.toString('base64') ?? '')
    }
    return keys
  }
}
