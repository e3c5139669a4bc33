import { backupKinds } from './backup-kinds.ts'
import type { BackupManifest } from './backup-manifest.ts'
import { readBackupFile } from './backup-reader.ts'
import { copyField, copyInt8, type CopyRow } from './backup-row.ts'
import { int4Value, int8Value, uuidValue } from './binary-values.ts'
import type { LogSource, LogTable } from './log-tables.ts'

/** The rows of a log in a backup of it, for whoever verifies it without a database. What can be computed is not in a backup. */
export class BackupSource implements LogSource {
  readonly #dir: string
  readonly #manifest: BackupManifest

  constructor(dir: string, manifest: BackupManifest) {
    this.#dir = dir
    this.#manifest = manifest
  }

  rows(table: LogTable, from?: bigint): AsyncIterable<readonly Buffer[]> | null {
    if (table === 'log') return this.#logRow()
    const kind = backupKinds.find((each) => each.table === table)
    if (kind === undefined) return null
    return kind.cut === 'additions' ? this.#merged(table) : this.#inOrder(table, from)
  }

  async *#logRow(): AsyncGenerator<readonly Buffer[], void> {
    const { logId, hostId, createdAtUs, format, partitionEvents } = this.#manifest.log
    const ids = [uuidValue(logId), uuidValue(hostId)]
    const fields = [...ids, int8Value(createdAtUs), int4Value(format), int8Value(partitionEvents)]
    const count = Buffer.from([0, fields.length])
    yield [Buffer.concat([count, ...fields.flatMap((field) => [int4Value(field.length), field])])]
  }

  async *#inOrder(table: LogTable, from: bigint | undefined): AsyncGenerator<readonly Buffer[], void> {
    for (const file of this.#files(table)) {
      if (from !== undefined && file.last < from) continue
      for await (const { rows } of readBackupFile(this.#dir, file, { logId: this.#manifest.log.logId })) {
        const wanted = from === undefined ? rows : rows.filter((row) => copyInt8(row, 0) >= from)
        if (wanted.length > 0) yield wanted.map(({ bytes }) => bytes)
      }
    }
  }

  /** Files that are each in the order of their key, as one. */
  async *#merged(table: LogTable): AsyncGenerator<readonly Buffer[], void> {
    const logId = this.#manifest.log.logId
    const open = this.#files(table).map((file) => new RowsOf(readBackupFile(this.#dir, file, { logId })))
    let left: RowsOf[] = []
    for (const rows of open) if (await rows.next()) left.push(rows)
    while (left.length > 0) {
      const first = left.reduce((least, rows) => (Buffer.compare(rows.key, least.key) < 0 ? rows : least))
      yield [first.bytes]
      if (!(await first.next())) left = left.filter((rows) => rows !== first)
    }
  }

  #files(table: LogTable): BackupManifest['files'] {
    const kind = backupKinds.find((each) => each.table === table)
    return this.#manifest.files.filter((file) => file.kind === kind?.name)
  }
}

/** The rows of a file one by one. */
class RowsOf {
  readonly #pages: AsyncGenerator<{ readonly rows: readonly CopyRow[] }, void>
  #page: readonly CopyRow[] = []
  #at = -1

  constructor(pages: AsyncGenerator<{ readonly rows: readonly CopyRow[] }, void>) {
    this.#pages = pages
  }

  get bytes(): Buffer {
    return this.#row.bytes
  }

  get key(): Buffer {
    return copyField(this.#row, 0) ?? Buffer.alloc(0)
  }

  /** Goes to the next row; false where there is none. */
  async next(): Promise<boolean> {
    this.#at += 1
    if (this.#at < this.#page.length) return true
    const { value } = await this.#pages.next()
    this.#page = value?.rows ?? []
    this.#at = 0
    return this.#page.length > 0
  }

  get #row(): CopyRow {
    const row = this.#page[this.#at]
    if (row === undefined) throw new Error('Cannot read a row: there is none left')
    return row
  }
}
