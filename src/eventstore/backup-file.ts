import { hash } from 'node:crypto'
import { type BackupKind, backupKinds } from './backup-kinds.ts'

/*
 * A file of a backup, all numbers big-endian and unsigned:
 *
 *   head    "chronovisor log\n" | u32 format (1) | u32 kind | log id (16 bytes) | u64 first key
 *   page*   "page" | u32 rows | u64 first key | u32 bytes of the rows | u32 bytes packed | SHA-256 | packed rows (zstd)
 *   end     "end\n" | u32 pages | u64 rows | SHA-256 of everything before the end
 *
 * The SHA-256 of a page is over the head of the file, the head of the page before it, and the packed rows: a page taken from elsewhere
 * does not fit. Rows are in PostgreSQL's binary COPY form, the columns of `backup-kinds.ts`. Keys: the first column of a kind that is
 * cut into segments, else the number of the row in its file, from 0.
 */

/** Version of the form of files and manifest. */
export const backupFormat = 1

/** Bytes of the head of a file. */
export const fileHeadBytes = 48
/** Bytes of the head of a page. */
export const pageHeadBytes = 56
/** Bytes of the end of a file. */
export const fileEndBytes = 48

/** A page is closed at this many rows, */
export const pageRows = 1_000
/** or when its rows have this many bytes, whichever comes first. */
export const pageRowsBytes = 1 << 20
/** The longest rows of one page that are believed: a page of one big text. */
export const longestPageBytes = 256 << 20

const magic = Buffer.from('chronovisor log\n')
const pageMark = Buffer.from('page')
const endMark = Buffer.from('end\n')

/** Whose rows stand in a file. */
export interface FileHead {
  readonly kind: BackupKind
  readonly logId: string
  readonly firstKey: bigint
}

/** What a page says of itself. */
export interface PageHead {
  readonly rows: number
  readonly firstKey: bigint
  readonly rowsBytes: number
  readonly packedBytes: number
  readonly sha256: Buffer
}

/** The head of a file as bytes. */
export function encodeFileHead({ kind, logId, firstKey }: FileHead): Buffer {
  const head = Buffer.alloc(fileHeadBytes)
  let at = magic.copy(head)
  at = head.writeUInt32BE(backupFormat, at)
  at = head.writeUInt32BE(kind.code, at)
  at += head.write(logId.replaceAll('-', ''), at, 'hex')
  head.writeBigUInt64BE(firstKey, at)
  return head
}

/** Reads {@link encodeFileHead}. Throws, saying what is wrong. */
export function decodeFileHead(bytes: Buffer): FileHead {
  if (!bytes.subarray(0, magic.length).equals(magic)) throw new Error('it does not begin as a file of a backup')
  const format = bytes.readUInt32BE(16)
  if (format !== backupFormat) throw new Error(`its format is ${format}, this program reads ${backupFormat}`)
  const code = bytes.readUInt32BE(20)
  const kind = backupKinds.find((each) => each.code === code)
  if (kind === undefined) throw new Error(`it is of the unknown kind ${code}`)
  const logId = uuidText(bytes.subarray(24, 40))
  return { kind, logId, firstKey: bytes.readBigUInt64BE(40) }
}

/** The head of a page as bytes, with the hash that binds it to its file. */
export function encodePageHead(
  fileHead: Buffer,
  { packed, ...page }: { rows: number; firstKey: bigint; rowsBytes: number; packed: Buffer },
): Buffer {
  const head = Buffer.alloc(pageHeadBytes)
  let at = pageMark.copy(head)
  at = head.writeUInt32BE(page.rows, at)
  at = head.writeBigUInt64BE(page.firstKey, at)
  at = head.writeUInt32BE(page.rowsBytes, at)
  at = head.writeUInt32BE(packed.length, at)
  pageHash(fileHead, head, packed).copy(head, at)
  return head
}

/** Reads {@link encodePageHead}; null where these bytes are the end of the file. Throws, saying what is wrong. */
export function decodePageHead(bytes: Buffer): PageHead | null {
  const mark = bytes.subarray(0, 4)
  if (mark.equals(endMark)) return null
  if (!mark.equals(pageMark)) throw new Error('neither a page nor the end begins there')
  const page = {
    rows: bytes.readUInt32BE(4),
    firstKey: bytes.readBigUInt64BE(8),
    rowsBytes: bytes.readUInt32BE(16),
    packedBytes: bytes.readUInt32BE(20),
    sha256: bytes.subarray(24, 56),
  }
  if (page.rows < 1 || page.rows > pageRows) throw new Error(`the page says it has ${page.rows} rows`)
  if (page.rowsBytes > longestPageBytes || page.packedBytes > longestPageBytes) {
    throw new Error(`the page says it has ${page.rowsBytes} bytes, ${page.packedBytes} packed`)
  }
  return page
}

/** The SHA-256 of a page; of `pageHead` only what stands before the hash counts. */
export function pageHash(fileHead: Buffer, pageHead: Buffer, packed: Buffer): Buffer {
  return hash('sha256', Buffer.concat([fileHead, pageHead.subarray(0, 24), packed]), 'buffer')
}

/** What the end of a file says of the rest. */
export interface FileEnd {
  readonly pages: number
  readonly rows: bigint
  readonly sha256: Buffer
}

/** The end of a file as bytes. */
export function encodeFileEnd({ pages, rows, sha256 }: FileEnd): Buffer {
  const end = Buffer.alloc(fileEndBytes)
  let at = endMark.copy(end)
  at = end.writeUInt32BE(pages, at)
  at = end.writeBigUInt64BE(rows, at)
  sha256.copy(end, at)
  return end
}

/** Reads {@link encodeFileEnd}. */
export function decodeFileEnd(bytes: Buffer): FileEnd {
  return { pages: bytes.readUInt32BE(4), rows: bytes.readBigUInt64BE(8), sha256: bytes.subarray(16, 48) }
}

/** A UUID of 16 bytes in its usual form. */
export function uuidText(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
