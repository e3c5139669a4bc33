import { createHash } from 'node:crypto'
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { zstdDecompress } from 'node:zlib'
import {
  decodeFileEnd,
  decodeFileHead,
  decodePageHead,
  encodeFileHead,
  fileEndBytes,
  fileHeadBytes,
  type PageHead,
  pageHash,
  pageHeadBytes,
} from './backup-file.ts'
import { type BackupKind, backupKind } from './backup-kinds.ts'
import type { BackupFile } from './backup-manifest.ts'
import { sha256 } from './sha256.ts'
import { copyField, copyInt8, type CopyRow, copyRowAt, fieldFault } from './backup-row.ts'

const decompress = promisify(zstdDecompress)

/** What is wrong with a file of a backup, and which keys (positions, commits, ...) cannot be had from it; none where only the file is. */
export interface BackupDamage {
  readonly file: string
  readonly kind: BackupKind['name'] | null
  readonly what: string
  readonly lost: { readonly first: bigint; readonly last: bigint } | null
}

/** A backup is damaged; nothing was restored from it. */
export class BackupDamagedError extends Error {
  override readonly name = 'BackupDamagedError'
  readonly damage: BackupDamage

  constructor(damage: BackupDamage) {
    super(`The backup is damaged: ${describeDamage(damage)}`)
    this.damage = damage
  }
}

/** Rows that stand together in a file; `bytes` are all of them in binary COPY form. */
export interface BackupPage {
  readonly rows: readonly CopyRow[]
  readonly bytes: Buffer
}

/** How to read a file of a backup. */
export interface ReadBackupOptions {
  readonly logId: string
  /** Hears of each damage, and reading goes on as far as it can; where it is absent, the first one is thrown. */
  readonly onDamage?: (damage: BackupDamage) => void
}

/** Damage as a person reads it. */
export function describeDamage({ file, kind, what, lost }: BackupDamage): string {
  if (lost === null || kind === null) return `${file}: ${what}`
  const { unit } = backupKind(kind)
  const keys = lost.first === lost.last ? `${unit} ${lost.first}` : `${unit}s ${lost.first} to ${lost.last}`
  return `${file}: ${what} (${keys.replace('categorys', 'categories')})`
}

/** The pages of a file whose every byte was checked. Throws {@link BackupDamagedError} unless `onDamage` is given. */
export async function* readBackupFile(
  dir: string,
  file: BackupFile,
  options: ReadBackupOptions,
): AsyncGenerator<BackupPage, void> {
  const reading = new FileReading(file, options)
  let handle: FileHandle
  try {
    handle = await open(join(dir, file.name), 'r')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    reading.damaged('it is missing', { first: file.first, last: file.last })
    return
  }
  try {
    yield* reading.pages(handle)
  } finally {
    await handle.close()
  }
}

class FileReading {
  readonly #file: BackupFile
  readonly #kind: BackupKind
  readonly #options: ReadBackupOptions
  readonly #head: Buffer
  readonly #hash = createHash('sha256')
  #at = 0
  #pages = 0
  #rows = 0n
  #nextKey: bigint
  #lostFrom: { readonly key: bigint; readonly what: string } | null = null
  #damages = 0

  constructor(file: BackupFile, options: ReadBackupOptions) {
    this.#file = file
    this.#kind = backupKind(file.kind)
    this.#options = options
    this.#head = encodeFileHead({ kind: this.#kind, logId: options.logId, firstKey: file.first })
    this.#nextKey = file.first
  }

  damaged(what: string, lost: BackupDamage['lost'] = null): void {
    const damage = { file: this.#file.name, kind: this.#file.kind, what, lost }
    this.#damages += 1
    if (this.#options.onDamage === undefined) throw new BackupDamagedError(damage)
    this.#options.onDamage(damage)
  }

  async *pages(handle: FileHandle): AsyncGenerator<BackupPage, void> {
    const { size } = await handle.stat()
    if (!(await this.#readHead(handle))) return
    for (;;) {
      const headBytes = await this.#read(handle, pageHeadBytes, fileEndBytes)
      if (headBytes === null) return this.#endLost(`it ends at byte ${size} of ${this.#file.sizeBytes}`)
      const head = this.#pageHead(headBytes)
      if (head === 'end') break
      if (head === 'lost') return
      this.#hash.update(headBytes)
      // Before the memory is taken: the number may be what is damaged.
      const packed = head.packedBytes > size - this.#at ? null : await this.#read(handle, head.packedBytes)
      if (packed === null) return this.#endLost(`it ends at byte ${size} of ${this.#file.sizeBytes}`)
      this.#hash.update(packed)
      const page = await this.#page(head, { headBytes, packed })
      if (page !== null) yield page
    }
    await this.#readEnd(handle, size)
  }

  async #readHead(handle: FileHandle): Promise<boolean> {
    const found = await this.#read(handle, fileHeadBytes)
    const all = { first: this.#file.first, last: this.#file.last }
    if (found === null) {
      this.damaged('it has not even a head', all)
      return false
    }
    this.#hash.update(found)
    if (found.equals(this.#head)) return true
    try {
      const { kind, logId, firstKey } = decodeFileHead(found)
      this.damaged(
        `it holds ${kind.name} from ${firstKey} on of log ${logId}: it is another file or its head was changed`,
        all,
      )
    } catch (error) {
      this.damaged(messageOf(error), all)
    }
    return false
  }

  #pageHead(bytes: Buffer): PageHead | 'end' | 'lost' {
    try {
      const head = decodePageHead(bytes)
      if (head === null) {
        this.#at -= bytes.length
        return 'end'
      }
      if (bytes.length < pageHeadBytes) throw new Error('it ends in the head of a page')
      return head
    } catch (error) {
      this.#endLost(`at byte ${this.#at - bytes.length}: ${messageOf(error)}`)
      return 'lost'
    }
  }

  /** The rows of a page that is whole; its damage is told when the next whole one says where it ended. */
  async #page(
    head: PageHead,
    read: { readonly headBytes: Buffer; readonly packed: Buffer },
  ): Promise<BackupPage | null> {
    this.#pages += 1
    const start = this.#at - read.packed.length - pageHeadBytes
    if (!pageHash(this.#head, read.headBytes, read.packed).equals(head.sha256)) {
      this.#lostFrom ??= { key: this.#nextKey, what: `the page at byte ${start} was changed` }
      return null
    }
    if (this.#lostFrom !== null) this.#tellLost(head.firstKey - 1n)
    try {
      const bytes = await decompress(read.packed, { maxOutputLength: head.rowsBytes })
      if (bytes.length !== head.rowsBytes)
        throw new Error(`it has ${bytes.length} bytes of rows, not ${head.rowsBytes}`)
      const rows = this.#parse(bytes, head)
      this.#rows += BigInt(rows.length)
      return { rows, bytes }
    } catch (error) {
      this.#lostFrom ??= { key: head.firstKey, what: `the page at byte ${start}: ${messageOf(error)}` }
      return null
    }
  }

  #parse(bytes: Buffer, head: PageHead): readonly CopyRow[] {
    const rows: CopyRow[] = []
    const keyed = this.#kind.cut === 'segments'
    const dense = this.#kind.name !== 'streams'
    let next = this.#nextKey
    for (let at = 0; at < bytes.length; ) {
      const row = copyRowAt(bytes, at, { fields: this.#kind.columns.length })
      if ('needed' in row) throw new Error('its rows end in the middle of one')
      for (const [index, column] of this.#kind.columns.entries()) {
        const fault = fieldFault(column, copyField(row, index))
        if (fault !== null) throw new Error(`row ${rows.length}: ${fault}`)
      }
      if (this.#kind.name === 'blobs') checkBlob(row)
      const key = keyed ? copyInt8(row, 0) : next
      if (dense ? key !== next : key < next)
        throw new Error(`row ${rows.length} is ${this.#kind.unit} ${key}, after ${next - 1n}`)
      next = key + 1n
      rows.push(row)
      at += row.bytes.length
    }
    if (rows.length !== head.rows) throw new Error(`it has ${rows.length} rows, not ${head.rows}`)
    this.#nextKey = next
    return rows
  }

  async #readEnd(handle: FileHandle, size: number): Promise<void> {
    if (this.#lostFrom !== null) this.#tellLost(this.#file.last)
    const before = this.#hash.copy().digest()
    const bytes = await this.#read(handle, fileEndBytes)
    if (bytes === null) return this.damaged(`it ends at byte ${size} of ${this.#file.sizeBytes}`)
    this.#hash.update(bytes)
    if (this.#damages > 0) return
    const end = decodeFileEnd(bytes)
    if (!end.sha256.equals(before)) this.damaged('its end does not fit what stands before it')
    else if (end.pages !== this.#pages || end.rows !== this.#rows) this.damaged('its end counts other pages or rows')
    else if (size !== this.#at) this.damaged(`${size - this.#at} bytes follow its end`)
    else if (BigInt(this.#file.rows) !== this.#rows || this.#nextKey !== this.#file.last + 1n) {
      this.damaged(
        `it holds ${this.#rows} rows up to ${this.#nextKey - 1n}, the manifest says ${this.#file.rows} up to ${this.#file.last}`,
      )
    } else if (this.#hash.digest('hex') !== this.#file.sha256) this.damaged('its SHA-256 is not that of the manifest')
  }

  #tellLost(last: bigint): void {
    const { key, what } = this.#lostFrom ?? { key: last, what: '' }
    this.#lostFrom = null
    this.#nextKey = last + 1n
    this.damaged(what, { first: key, last })
  }

  /** Nothing after this point can be found. */
  #endLost(what: string): void {
    const first = this.#lostFrom?.key ?? this.#nextKey
    this.#lostFrom = null
    this.damaged(what, first <= this.#file.last ? { first, last: this.#file.last } : null)
  }

  /** The next bytes; fewer than wanted, but not fewer than `least`, at the end of the file; null where even those are missing. */
  async #read(handle: FileHandle, wanted: number, least = wanted): Promise<Buffer | null> {
    const buffer = Buffer.allocUnsafe(wanted)
    let filled = 0
    while (filled < wanted) {
      const { bytesRead } = await handle.read(buffer, filled, wanted - filled, this.#at + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    if (filled < least) return null
    this.#at += filled
    return buffer.subarray(0, filled)
  }
}

function checkBlob(row: CopyRow): void {
  const key = copyField(row, 0)
  const bytes = copyField(row, 1)
  if (key !== null && bytes !== null && sha256(bytes).equals(key)) return
  throw new Error(`the big text "${key?.toString('hex') ?? ''}" is not that of its hash`)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
