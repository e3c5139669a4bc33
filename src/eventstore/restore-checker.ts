import type pg from 'pg'
import { LogCorruptError } from './append-errors.ts'
import { copyOut } from './backup-copy-out.ts'
import { copiedEventFields, copiedEvents, copiedLeaf, recordedRoot } from './backup-event.ts'
import type { BackupKind } from './backup-kinds.ts'
import type { BackupManifest } from './backup-manifest.ts'
import { copyInt8, type CopyRow } from './backup-row.ts'
import { openCheckpoint } from './checkpoint.ts'
import { logOrigin } from './log-origin.ts'
import { SegmentedTree } from './segmented-tree.ts'
import { type NoteVerifier, parseVerifierKey } from './signed-note.ts'
import { TileMaker } from './tile-maker.ts'
import { tileStatement } from './tile-statement.ts'

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
  /** Signed checkpoints that the tree agrees with, and the size of the last; null where the backup has none. */
  readonly checkpoints: number
  readonly checkpointSize: bigint | null
}

interface CheckOptions {
  readonly manifest: BackupManifest
  readonly trusted?: readonly NoteVerifier[]
  readonly onProgress?: (progress: RestoreProgress) => void
  readonly signal?: AbortSignal
}

interface SignedSize {
  readonly size: bigint
  readonly root: Uint8Array
}

/** Reads a restored log back from the database, before its transaction ends, recomputes what can be recomputed, and makes the tiles of the tree. */
export class RestoreChecker {
  readonly #client: pg.Client
  readonly #options: CheckOptions
  readonly #tiles = new TileMaker()
  readonly #tree: SegmentedTree
  readonly #partial: Parameters<typeof tileStatement>[0][number][] = []
  #checkpoints: readonly SignedSize[] = []
  #compared = 0
  #roots = 1n // that of the genesis, which has no event

  constructor(client: pg.Client, options: CheckOptions) {
    this.#client = client
    this.#options = options
    const { segmentRows } = options.manifest
    this.#tree = new SegmentedTree({ segmentRows, onTile: (tile) => this.#tiles.add(tile) })
  }

  /** Throws {@link LogCorruptError} that names the first thing that does not fit. */
  async check(): Promise<RestoreCheck> {
    const { manifest } = this.#options
    const { head } = manifest
    await this.#checkCommits()
    await this.#checkStreams()
    this.#checkpoints = await this.#readCheckpoints()
    this.#compareCheckpoint()
    for (const file of manifest.files.filter(({ kind }) => kind === 'events')) {
      await this.#readSegment(file)
      const tree = Buffer.from(this.#tree.endSegment()).toString('hex')
      if (tree !== file.tree) fail(`the events of ${file.name} give another tree than the manifest has`)
      await this.#writeTiles()
    }
    const root = Buffer.from(this.#tree.root()).toString('hex')
    if (root !== head.root) fail(`the events up to position ${head.position} do not give the root of the manifest`)
    if (this.#roots !== head.commitNo + 1n) fail(`${this.#roots} commits end at an event, of ${head.commitNo + 1n}`)
    const ahead = this.#checkpoints[this.#compared]
    if (ahead !== undefined)
      fail(`a signed checkpoint is of ${ahead.size} events, the backup has ${head.position + 1n}`)
    const checkpointSize = this.#checkpoints.at(-1)?.size ?? null
    return { events: head.position + 1n, commits: this.#roots, root, checkpoints: this.#compared, checkpointSize }
  }

  async #readSegment({ first, last }: { readonly first: bigint; readonly last: bigint }): Promise<void> {
    const { onProgress, signal, manifest } = this.#options
    let next = first
    const lacks = (): never => fail(`event ${next} is missing, or the stream, type or commit that it names`)
    for await (const rows of copyOut(this.#client, copiedEvents(first, last), { fields: copiedEventFields, signal })) {
      for (const row of rows) {
        if (copyInt8(row, 0) !== next) lacks()
        next += 1n
        this.#take(row)
      }
      onProgress?.({ step: 'tree', done: next, total: manifest.head.position + 1n })
    }
    if (next !== last + 1n) lacks()
  }

  #take(row: CopyRow): void {
    this.#tree.add(copiedLeaf(row))
    const position = copyInt8(row, 0)
    if (this.#checkpoints[this.#compared]?.size === position + 1n) this.#compareCheckpoint()
    const recorded = recordedRoot(row)
    if (recorded === null) return
    this.#roots += 1n
    if (!recorded.equals(this.#tree.root())) {
      fail(`the events up to position ${position} do not give the root of commit ${copyInt8(row, 4)}`)
    }
  }

  /** Signed checkpoints have the tile of their last leaves beside them, also where it is not full. */
  #compareCheckpoint(): void {
    const signed = this.#checkpoints[this.#compared]
    if (signed?.size !== this.#tree.size) return
    if (!Buffer.from(signed.root).equals(this.#tree.root())) {
      fail(`the first ${signed.size} events do not give the root of the signed checkpoint`)
    }
    this.#compared += 1
    const tile = this.#tree.partialTile()
    if (tile !== null) this.#partial.push(tile)
  }

  /** The signed checkpoints, each opened by the keys that the log names or by the only ones that are trusted. */
  async #readCheckpoints(): Promise<readonly SignedSize[]> {
    const { manifest, trusted } = this.#options
    const named = await this.#client.query<{ key: string }>('select verifier_key as key from log_key')
    const keys = trusted ?? named.rows.map(({ key }) => parseVerifierKey(key))
    const { rows } = await this.#client.query<{ size: bigint; note: string }>(
      'select size, note from signed_checkpoint order by size',
    )
    if (rows.length === 0 && trusted !== undefined) fail('it has no signed checkpoint, and so none by the key given')
    return rows.map(({ size, note }) => {
      const signed = opened(note, { size, keys })
      const own = logOrigin(manifest.log)
      if (signed.origin !== own)
        fail(`the checkpoint of ${size} events was signed for ${signed.origin}, the log is ${own}`)
      return signed.size === size ? signed : fail(`the signed checkpoint of ${size} events says ${signed.size}`)
    })
  }

  /** What the leaves do not say: the chain of commits reaches the head. */
  async #checkCommits(): Promise<void> {
    const { head } = this.#options.manifest
    const { rows } = await this.#client.query<CommitsRow>(
      `select (select count(*) from commit) as commits, (select max(last_pos) from commit) as last_pos,
        (select encode(root, 'hex') from commit where commit_no = $1::int8) as root,
        (select encode(root, 'hex') from commit where commit_no = 0) as genesis`,
      [head.commitNo],
    )
    const [found] = rows
    const whole = found?.commits === head.commitNo + 1n && found.last_pos === head.position && found.root === head.root
    if (!whole) fail(`its commits do not end with commit ${head.commitNo} at position ${head.position}`)
    const empty = Buffer.from(this.#tree.root()).toString('hex')
    if (found.genesis !== empty) fail('commit 0 has not the root of an empty tree')
  }

  /** Nor this: streams begin where they say, and have no gap. */
  async #checkStreams(): Promise<void> {
    const { rows } = await this.#client.query<{ name: string }>(
      `select s.name from stream s
        left join (select stream_id, min(pos) as first_pos, count(*) as events, max(revision) as last from event group by stream_id) e
          using (stream_id)
        where e.first_pos is distinct from s.first_pos or e.events <> e.last + 1 limit 1`,
    )
    if (rows[0] !== undefined) fail(`stream "${rows[0].name}" has not the events that it should have`)
  }

  /** So that the next start of a daemon has them, and need not make them itself. */
  async #writeTiles(): Promise<void> {
    const tiles = [...this.#tiles.take(), ...this.#partial.splice(0)]
    for (let at = 0; at < tiles.length; at += tilesAtATime) {
      const { sql, values } = tileStatement(tiles.slice(at, at + tilesAtATime))
      await this.#client.query(sql, [...values])
    }
  }
}

const tilesAtATime = 256

interface CommitsRow {
  readonly commits: bigint
  readonly last_pos: bigint | null
  readonly root: string | null
  readonly genesis: string | null
}

function opened(note: string, { size, keys }: { readonly size: bigint; readonly keys: readonly NoteVerifier[] }) {
  try {
    return openCheckpoint(note, keys)
  } catch (error) {
    return fail(`the checkpoint of ${size} events: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function fail(what: string): never {
  throw new LogCorruptError(`Cannot restore: ${what}`)
}
