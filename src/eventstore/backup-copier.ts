import type pg from 'pg'
import { LogCorruptError } from './append-errors.ts'
import { isWhole } from './backup-directory.ts'
import { BlobCopier } from './backup-blobs.ts'
import { type BackupKind, columnList } from './backup-kinds.ts'
import type { BackupFile, BackupManifest } from './backup-manifest.ts'
import { BackupSegmentWriter } from './backup-segment-writer.ts'
import { copiedEventFields, copiedEvents, copiedLeaf, recordedRoot, storedPart } from './backup-event.ts'
import { copyOut } from './backup-copy-out.ts'
import { copyInt8, type CopyRow } from './backup-row.ts'
import { erasedPositions } from './erased-positions.ts'
import { SegmentedTree } from './segmented-tree.ts'

/** How far a backup is: rows of one kind, kept ones included. `total` is null where it is not known. */
export interface BackupProgress {
  readonly kind: BackupKind['name']
  readonly done: bigint
  readonly total: bigint | null
}

/** What the copier works on. */
export interface BackupCopierOptions {
  readonly dir: string
  readonly segmentRows: number
  readonly earlier: BackupManifest | null
  readonly logId: string
  readonly head: BackupManifest['head']
  readonly onProgress?: (progress: BackupProgress) => void
  readonly signal?: AbortSignal
}

/** Rows to be written to a file, and what happens to each. */
interface Source {
  readonly kind: BackupKind
  readonly select: string
  readonly fields: number
  /** The row as it is written; called in order. */
  readonly stored: (row: CopyRow) => Buffer
}

/** Copies table after table out of one snapshot, keeping the files of an earlier backup that still hold. */
export class BackupCopier {
  readonly files: BackupFile[] = []
  readonly written: BackupFile[] = []
  readonly kept: BackupFile[] = []
  readonly repaired: string[] = []
  readonly segmentRows: number
  readonly #client: pg.Client
  readonly #options: BackupCopierOptions
  readonly #tree: SegmentedTree

  constructor(client: pg.Client, options: BackupCopierOptions) {
    this.#client = client
    this.#options = options
    this.segmentRows = options.segmentRows
    this.#tree = new SegmentedTree(options)
  }

  /** Copies one kind, whole. */
  async copy(kind: BackupKind): Promise<void> {
    if (!(await this.#isThere(kind.table))) return
    switch (kind.cut) {
      case 'segments':
        return await this.#copySegments(kind)
      case 'whole':
        return await this.#copyWhole(kind)
      case 'additions':
        return await this.#copyBlobs(kind)
    }
  }

  /** A database whose program was older lacks what came later. */
  async #isThere(table: string): Promise<boolean> {
    const { rows } = await this.#client.query<{ made: boolean }>('select to_regclass($1::text) is not null as made', [
      table,
    ])
    return rows[0]?.made === true
  }

  async #copySegments(kind: BackupKind): Promise<void> {
    const last = await this.#lastKey(kind)
    const size = BigInt(this.segmentRows)
    const changed = kind.name === 'events' ? await this.#erasedSegments() : new Set<bigint>()
    for (let first = 0n; first <= last; first += size) {
      const end = first + size - 1n < last ? first + size - 1n : last
      const old = this.#earlier(kind).find((file) => file.first >= first && file.last <= end)
      const same = old !== undefined && this.#reaches(old, { kind, first, end }) && !changed.has(first)
      if (!(same && (await this.#keep(old)))) await this.#writeSegment(kind, { first, last: end })
      else if (old.tree !== undefined) this.#tree.addSegment(Buffer.from(old.tree, 'hex'), { rows: old.rows })
      this.#options.onProgress?.({ kind: kind.name, done: end + 1n, total: last + 1n })
    }
    if (kind.name === 'events') this.#checkRoot(this.#options.head)
  }

  /** Whether a file of the earlier backup has all that its range now has. A range of streams may have fewer rows than keys. */
  #reaches(old: BackupFile, { kind, end }: { kind: BackupKind; first: bigint; end: bigint }): boolean {
    const next = this.#earlier(kind).some((file) => file.first > old.last)
    return old.last === end || (kind.name === 'streams' && next)
  }

  async #writeSegment(kind: BackupKind, range: { readonly first: bigint; readonly last: bigint }): Promise<void> {
    const [key] = kind.columns
    const isEvents = kind.name === 'events'
    const source: Source = isEvents
      ? {
          kind,
          select: copiedEvents(range.first, range.last),
          fields: copiedEventFields,
          stored: (row) => this.#storeEvent(row),
        }
      : {
          kind,
          select: `select ${columnList(kind)} from ${kind.table} where ${key?.name} between ${range.first} and ${range.last} order by 1`,
          fields: kind.columns.length,
          stored: (row) => row.bytes,
        }
    const file = await this.#write(source, (row) => copyInt8(row, 0))
    const expected = range.last - range.first + 1n
    if (kind.name !== 'streams' && BigInt(file?.rows ?? 0) !== expected) {
      throw new LogCorruptError(
        `Cannot back up: ${kind.unit}s ${range.first} to ${range.last} are ${file?.rows ?? 0} rows, not ${expected}`,
      )
    }
    if (file === null) return
    this.#add(isEvents ? { ...file, tree: Buffer.from(this.#tree.endSegment()).toString('hex') } : file)
  }

  async #copyWhole(kind: BackupKind): Promise<void> {
    const select = `select ${columnList(kind)} from ${kind.table} order by 1`
    let row = -1n
    const source = { kind, select, fields: kind.columns.length, stored: (each: CopyRow) => each.bytes }
    const file = await this.#write(source, () => (row += 1n))
    if (file === null) return
    const old = this.#earlier(kind).find(({ name }) => name === file.name)
    if (old === undefined) this.#add(file)
    else {
      this.files.push(file)
      this.kept.push(file)
    }
    this.#options.onProgress?.({ kind: kind.name, done: BigInt(file.rows), total: BigInt(file.rows) })
  }

  async #copyBlobs(kind: BackupKind): Promise<void> {
    const { dir, logId, signal } = this.#options
    const blobs = new BlobCopier(this.#client, { dir, logId, signal })
    const plan = await blobs.plan(this.#earlier(kind), (file) => this.#isSound(file))
    for (const file of plan.kept) {
      this.files.push(file)
      this.kept.push(file)
    }
    let row = -1n
    for (const select of plan.selects) {
      const source = { kind, select, fields: kind.columns.length, stored: (each: CopyRow) => each.bytes }
      row = -1n
      const file = await this.#write(source, () => (row += 1n))
      if (file !== null) this.#add(file)
    }
  }

  /** Writes the rows of a source to a file; null where it has none. */
  async #write(source: Source, keyOf: (row: CopyRow) => bigint): Promise<BackupFile | null> {
    const { dir, logId, signal } = this.#options
    let writer: BackupSegmentWriter | null = null
    try {
      for await (const rows of copyOut(this.#client, source.select, { fields: source.fields, signal })) {
        for (const row of rows) {
          const key = keyOf(row)
          writer ??= await BackupSegmentWriter.open(dir, { kind: source.kind, logId, firstKey: key })
          writer.add(source.stored(row), key)
          if (writer.isFull) await writer.flush()
        }
      }
      return writer === null ? null : await writer.finish()
    } catch (error) {
      await writer?.abandon()
      throw error
    }
  }

  #storeEvent(row: CopyRow): Buffer {
    this.#takeLeaf(row)
    return storedPart(row)
  }

  #takeLeaf(row: CopyRow): void {
    this.#tree.add(copiedLeaf(row))
    const root = recordedRoot(row)
    const position = copyInt8(row, 0)
    if (root === null || position % checkEvery !== 0n) return
    this.#checkRoot({ commitNo: copyInt8(row, 4), position, root: root.toString('hex') })
  }

  #checkRoot(at: { readonly commitNo: bigint; readonly position: bigint; readonly root: string }): void {
    if (Buffer.from(this.#tree.root()).toString('hex') === at.root) return
    throw new LogCorruptError(
      `Cannot back up: the events up to position ${at.position} do not give the root of commit ${at.commitNo}; \`chronovisor check --all\` says where`,
    )
  }

  /** Keeps a file of the earlier backup; false where it does not hold any more, and has to be written again. */
  async #keep(old: BackupFile): Promise<boolean> {
    if (!(await this.#isSound(old))) return false
    this.files.push(old)
    this.kept.push(old)
    return true
  }

  async #isSound(old: BackupFile): Promise<boolean> {
    if (await isWhole(this.#options.dir, old)) return true
    this.repaired.push(old.name)
    return false
  }

  #add(file: BackupFile): void {
    this.files.push(file)
    this.written.push(file)
  }

  #earlier(kind: BackupKind): readonly BackupFile[] {
    return (this.#options.earlier?.files ?? []).filter((file) => file.kind === kind.name)
  }

  async #lastKey(kind: BackupKind): Promise<bigint> {
    const { head } = this.#options
    if (kind.name === 'events') return head.position
    if (kind.name === 'commits') return head.commitNo
    const [key] = kind.columns
    const { rows } = await this.#client.query<{ last: bigint | null }>(
      `select max(${key?.name}) as last from ${kind.table}`,
    )
    return rows[0]?.last ?? -1n
  }

  /** The segments of the earlier backup that hold data which was erased since. */
  async #erasedSegments(): Promise<ReadonlySet<bigint>> {
    const { earlier } = this.#options
    if (earlier === null) return new Set()
    const size = BigInt(this.segmentRows)
    const positions = await erasedPositions(this.#client, { after: earlier.head.position })
    return new Set(positions.map((position) => (position / size) * size))
  }
}

// Often enough to say about where a log is damaged, rarely enough to cost nothing.
const checkEvery = 64n
