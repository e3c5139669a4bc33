import type pg from 'pg'
import { LogCorruptError } from './append-errors.ts'
import { copyOut } from './backup-copy-out.ts'
import { copiedEventFields, copiedEvents, copiedLeaf, recordedRoot, SegmentedTree } from './backup-event.ts'
import type { BackupManifest } from './backup-manifest.ts'
import { copyInt8, type CopyRow } from './backup-row.ts'
import { parseCheckpoint } from './checkpoint.ts'
import type { BackupKind } from './backup-kinds.ts'
import { encodeEdge } from './tree-edge.ts'
import { parseNote } from './signed-note.ts'

/** What a restore is doing: taking rows of a kind in, or recomputing the tree over what was taken in. */
export interface RestoreProgress {
  readonly step: BackupKind['name'] | 'tree'
  readonly done: bigint
  readonly total: bigint
}

/** What was compared with what the database holds after a restore. */
export interface RestoreCheck {
  readonly events: bigint
  readonly commits: bigint
  /** The root of the last commit, recomputed from the events: lower-case hex. */
  readonly root: string
  /** Size of the signed checkpoint that the tree agrees with; null where the backup has none. */
  readonly checkpointSize: bigint | null
}

interface CheckOptions {
  readonly manifest: BackupManifest
  readonly onProgress?: (progress: RestoreProgress) => void
  readonly signal?: AbortSignal
}

/** Reads a restored log back from the database, before its transaction ends, and recomputes what can be recomputed. */
export class RestoreChecker {
  readonly #client: pg.Client
  readonly #options: CheckOptions
  readonly #tree: SegmentedTree
  readonly #checkpoint: { readonly size: bigint; readonly root: Uint8Array } | null
  #roots = 1n // that of the genesis, which has no event

  constructor(client: pg.Client, options: CheckOptions) {
    const { segmentRows, checkpoint } = options.manifest
    this.#client = client
    this.#options = options
    this.#tree = new SegmentedTree({ segmentRows })
    this.#checkpoint = checkpoint === null ? null : parseCheckpoint(parseNote(checkpoint).text)
  }

  /** Throws {@link LogCorruptError} that names the first thing that does not fit. */
  async check(): Promise<RestoreCheck> {
    const { manifest } = this.#options
    await this.#checkCounts()
    this.#compareCheckpoint(0n)
    for (const file of manifest.files.filter(({ kind }) => kind === 'events')) {
      await this.#readSegment(file)
      const tree = Buffer.from(this.#tree.endSegment()).toString('hex')
      if (tree !== file.tree) fail(`the events of ${file.name} give another tree than the manifest has`)
    }
    const root = Buffer.from(this.#tree.root()).toString('hex')
    const { head } = manifest
    if (root !== head.root) fail(`the events up to position ${head.position} do not give the root of the manifest`)
    if (this.#roots !== head.commitNo + 1n) fail(`${this.#roots} commits end at an event, of ${head.commitNo + 1n}`)
    await this.#writeEdge()
    const size = this.#checkpoint?.size ?? null
    if (size !== null && size > head.position + 1n)
      fail(`the signed checkpoint is of ${size} events, the backup has fewer`)
    return { events: head.position + 1n, commits: this.#roots, root, checkpointSize: size }
  }

  async #readSegment({ first, last }: { readonly first: bigint; readonly last: bigint }): Promise<void> {
    const { onProgress, signal, manifest } = this.#options
    let next = first
    for await (const rows of copyOut(this.#client, copiedEvents(first, last), { fields: copiedEventFields, signal })) {
      for (const row of rows) {
        if (copyInt8(row, 0) !== next) fail(`event ${next} is missing, or the stream, type or commit that it names`)
        next += 1n
        this.#take(row)
      }
      onProgress?.({ step: 'tree', done: next, total: manifest.head.position + 1n })
    }
    if (next !== last + 1n) fail(`event ${next} is missing, or the stream, type or commit that it names`)
  }

  #take(row: CopyRow): void {
    this.#tree.add(copiedLeaf(row))
    const position = copyInt8(row, 0)
    this.#compareCheckpoint(position + 1n)
    const recorded = recordedRoot(row)
    if (recorded === null) return
    this.#roots += 1n
    if (!recorded.equals(this.#tree.root())) {
      fail(`the events up to position ${position} do not give the root of commit ${copyInt8(row, 4)}`)
    }
  }

  #compareCheckpoint(size: bigint): void {
    if (this.#checkpoint?.size !== size) return
    if (!Buffer.from(this.#checkpoint.root).equals(this.#tree.root())) {
      fail(`the first ${size} events do not give the root of the signed checkpoint`)
    }
  }

  /** What the leaves do not say: the chain of commits reaches the head, names fit the events, streams have no gap. */
  async #checkCounts(): Promise<void> {
    const { head } = this.#options.manifest
    const { rows } = await this.#client.query<CountRow>(
      `select (select count(*) from commit) as commits, (select max(last_pos) from commit) as last_pos,
        (select encode(root, 'hex') from commit where commit_no = $1::int8) as root,
        (select encode(root, 'hex') from commit where commit_no = 0) as genesis`,
      [head.commitNo],
    )
    const [found] = rows
    const whole = found?.commits === head.commitNo + 1n && found.last_pos === head.position && found.root === head.root
    if (!whole) fail(`its commits do not end with commit ${head.commitNo} at position ${head.position}`)
    if (found.genesis !== Buffer.from(this.#tree.root()).toString('hex'))
      fail('commit 0 has not the root of an empty tree')
    const broken = await this.#client.query<{ name: string }>(
      `select s.name from stream s
        left join (select stream_id, min(pos) as first_pos, count(*) as events, max(revision) as last from event group by stream_id) e
          using (stream_id)
        where e.first_pos is distinct from s.first_pos or e.events <> e.last + 1 limit 1`,
    )
    if (broken.rows[0] !== undefined) fail(`stream "${broken.rows[0].name}" has not the events that it should have`)
  }

  /** The writer's next start begins here instead of at position 0. */
  async #writeEdge(): Promise<void> {
    const edge = this.#tree.edge()
    if (edge.size === 0n) return
    await this.#client.query('insert into tree_edge (size, hashes) values ($1::int8, $2::bytea)', [
      edge.size,
      encodeEdge(edge),
    ])
  }
}

interface CountRow {
  readonly commits: bigint
  readonly last_pos: bigint | null
  readonly root: string | null
  readonly genesis: string | null
}

function fail(what: string): never {
  throw new LogCorruptError(`Cannot restore: ${what}`)
}
