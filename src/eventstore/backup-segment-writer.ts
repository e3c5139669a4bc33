import { createHash } from 'node:crypto'
import { open, type FileHandle, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { zstdCompress } from 'node:zlib'
import { encodeFileEnd, encodeFileHead, encodePageHead, type FileHead, pageRows, pageRowsBytes } from './backup-file.ts'
import { type BackupFile, backupFileName } from './backup-manifest.ts'

const compress = promisify(zstdCompress)

/** Names of files that are not finished; whoever finds one may remove it. */
export const unfinishedSuffix = '.unfinished'

interface Page {
  readonly rows: readonly Buffer[]
  readonly rowsBytes: number
  readonly firstKey: bigint
}

/** Writes one file of a backup: under a name of its own until it is whole and on disk. Rows come in the order of their keys. */
export class BackupSegmentWriter {
  readonly #dir: string
  readonly #head: FileHead
  readonly #headBytes: Buffer
  readonly #path: string
  readonly #file: FileHandle
  readonly #hash = createHash('sha256')
  #rows: Buffer[] = []
  #rowsBytes = 0
  #pageFirst: bigint
  #lastKey: bigint
  #pages = 0
  #rowCount = 0
  #sizeBytes = 0
  #writing: Promise<void> = Promise.resolve()

  private constructor(dir: string, { head, path, file }: { head: FileHead; path: string; file: FileHandle }) {
    this.#dir = dir
    this.#head = head
    this.#headBytes = encodeFileHead(head)
    this.#path = path
    this.#file = file
    this.#pageFirst = head.firstKey
    this.#lastKey = head.firstKey
  }

  static async open(dir: string, head: FileHead): Promise<BackupSegmentWriter> {
    const path = join(dir, `${head.kind.name}-${head.firstKey}${unfinishedSuffix}`)
    const file = await open(path, 'w', 0o600)
    const writer = new BackupSegmentWriter(dir, { head, path, file })
    await writer.#write([writer.#headBytes])
    return writer
  }

  /** Takes a row; wait for it where `isFull` says so. */
  add(row: Buffer, key: bigint): void {
    if (this.#rows.length === 0) this.#pageFirst = key
    this.#rows.push(row)
    this.#rowsBytes += row.length
    this.#lastKey = key
    this.#rowCount += 1
  }

  /** Whether {@link flush} should be waited for before the next row. */
  get isFull(): boolean {
    return this.#rows.length >= pageRows || this.#rowsBytes >= pageRowsBytes
  }

  /** Closes the page; it is packed and written while the next one fills. */
  async flush(): Promise<void> {
    if (this.#rows.length === 0) return
    const page = { rows: this.#rows, rowsBytes: this.#rowsBytes, firstKey: this.#pageFirst }
    this.#rows = []
    this.#rowsBytes = 0
    await this.#writing
    this.#writing = this.#writePage(page)
    this.#writing.catch(() => undefined) // who waits for it next hears of it
  }

  /** Ends the file, has it on disk and gives it its name. */
  async finish(): Promise<BackupFile> {
    await this.flush()
    await this.#writing
    const end = { pages: this.#pages, rows: BigInt(this.#rowCount), sha256: this.#hash.copy().digest() }
    await this.#write([encodeFileEnd(end)])
    await this.#file.sync()
    await this.#file.close()
    const { kind, firstKey } = this.#head
    const about = { first: firstKey, last: this.#lastKey, sha256: this.#hash.digest('hex') }
    const name = backupFileName(kind.name, about)
    await rename(this.#path, join(this.#dir, name))
    return { name, kind: kind.name, ...about, rows: this.#rowCount, sizeBytes: this.#sizeBytes }
  }

  /** Gives up: nothing of the file stays. */
  async abandon(): Promise<void> {
    await this.#writing.catch(() => undefined)
    await this.#file.close().catch(() => undefined)
    await rm(this.#path, { force: true })
  }

  async #writePage({ rows, rowsBytes, firstKey }: Page): Promise<void> {
    const packed = await compress(Buffer.concat(rows, rowsBytes))
    const head = encodePageHead(this.#headBytes, { rows: rows.length, firstKey, rowsBytes, packed })
    this.#pages += 1
    await this.#write([head, packed])
  }

  async #write(parts: readonly Buffer[]): Promise<void> {
    for (const part of parts) {
      this.#hash.update(part)
      this.#sizeBytes += part.length
    }
    const { bytesWritten } = await this.#file.writev([...parts])
    const wanted = parts.reduce((sum, part) => sum + part.length, 0)
    if (bytesWritten !== wanted)
      throw new Error(`Cannot write "${this.#path}": the disk took ${bytesWritten} of ${wanted} bytes`)
  }
}
