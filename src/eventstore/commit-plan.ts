import type { Batch } from './batch.ts'
import { byteaArray, int4Array, int4Value, int8Array, int8Value, textArray } from './binary-values.ts'
import { CommitNumbers } from './commit-numbers.ts'
import type { CommitStatement } from './commit-participant.ts'
import { eventLeaf } from './event-leaf.ts'
import { eventStatement } from './event-statement.ts'
import type { LogNames } from './log-names.ts'
import type { LogHead } from './recorded-event.ts'
import { requestStatement } from './request-book.ts'
import { type BlockRows, categoryBlockStatement, typeBlockStatement } from './skip-blocks.ts'
import type { Tile } from './tile.ts'
import { tileStatement } from './tile-statement.ts'
import { treeRoot } from './tree-edge.ts'
import { growTree, type TreeFront } from './tree-front.ts'

/** What follows from the events of a commit once they are hashed: its head, the tree, and the rows beside the events. */
interface Proof {
  readonly head: LogHead
  readonly tree: TreeFront
  readonly statements: readonly CommitStatement[]
}

// The server takes in the first slice while the second one is made.
const sliceEvents = 256

/** What is recorded by one commit. */
interface Recording {
  readonly batch: Batch
  readonly numbers: CommitNumbers
  /** Tiles of the tree that it filled. */
  readonly tiles: readonly Tile[]
  /** What the skip blocks do not say yet. */
  readonly blocks: BlockRows
}

/** Rows that a commit adds beside itself and its events; null where it has none of them to add. */
type RowsBeside = (recording: Recording) => CommitStatement | null

/** In the order in which they are written: what refers to a row comes after it (nothing refers to the events). */
const rowsBeside: readonly RowsBeside[] = [
  newCategories,
  newTypes,
  newStreams,
  ({ blocks }) => typeBlockStatement(blocks),
  ({ blocks }) => categoryBlockStatement(blocks),
  ({ batch }) => requestStatement(batch.requests),
  bigTexts,
  fullTiles,
]

/**
 * A commit ready to be sent. The rows of the events come first, slice after slice, the commit with its root follows: so the slices are made,
 * and the events hashed, at the first use of what needs that, while the database takes them in. Sent again it is the very same.
 */
export class CommitPlan {
  /** Where it ends. */
  readonly lastPosition: bigint
  readonly #recording: Omit<Recording, 'tiles'>
  readonly #before: LogHead
  readonly #tree: TreeFront
  #proof: Proof | null = null

  constructor(batch: Batch, { before, tree }: { readonly before: LogHead; readonly tree: TreeFront }) {
    const numbers = new CommitNumbers(batch)
    this.#recording = { batch, numbers, blocks: batch.names.blocks.missing(batch.events, numbers) }
    this.#before = before
    this.#tree = tree
    this.lastPosition = batch.nextPosition - 1n
  }

  /** The head after it. */
  get head(): LogHead {
    return this.#proved.head
  }

  /** The tree after it. */
  get tree(): TreeFront {
    return this.#proved.tree
  }

  /** All that it writes, and behind it what others add to it. */
  *parts(
    ofOthers: () => readonly CommitStatement[],
  ): Generator<readonly CommitStatement[], readonly CommitStatement[]> {
    const { batch } = this.#recording
    for (let from = 0; from < batch.events.length; from += sliceEvents) {
      yield [eventStatement(batch, { from, to: from + sliceEvents })]
    }
    return [...this.#proved.statements, ...ofOthers()]
  }

  /** Tells the writer's memory of streams, types and categories as they are after the commit. */
  remember(names: LogNames): void {
    this.#recording.numbers.remember(names)
    names.blocks.remember(this.#recording.blocks)
  }

  get #proved(): Proof {
    this.#proof ??= this.#prove()
    return this.#proof
  }

  #prove(): Proof {
    const { batch } = this.#recording
    const { tiles, ...tree } = growTree(this.#tree, batch.events.map(eventLeaf))
    const head: LogHead = {
      commitNo: batch.commitNo,
      position: this.lastPosition,
      recordedAtUs: batch.recordedAtUs,
      epoch: batch.epoch,
      root: treeRoot(tree.edge),
    }
    const recording = { ...this.#recording, tiles }
    const beside = rowsBeside.map((rows) => rows(recording)).filter((statement) => statement !== null)
    return { head, tree, statements: [commitStatement(head, this.#before), ...beside] }
  }
}

function commitStatement(head: LogHead, before: LogHead): CommitStatement {
  return {
    name: 'log_commit',
    sql: `insert into commit (commit_no, prev_commit, prev_last, first_pos, last_pos, at_us, epoch, root)
      values ($1::int8, $2::int8, $3::int8, $3::int8 + 1, $4::int8, $5::int8, $6::int4, $7::bytea)`,
    values: [
      int8Value(head.commitNo),
      int8Value(before.commitNo),
      int8Value(before.position),
      int8Value(head.position),
      int8Value(head.recordedAtUs),
      int4Value(head.epoch),
      head.root,
    ],
    expectedRows: null,
  }
}

function newCategories({ numbers: { newCategories: rows } }: Recording): CommitStatement | null {
  if (rows.length === 0) return null
  return {
    name: 'log_category',
    sql: 'insert into category (category_id, name) select * from unnest($1::int4[], $2::text[])',
    values: [int4Array(rows.map(({ categoryId }) => categoryId)), textArray(rows.map(({ name }) => name))],
    expectedRows: null,
  }
}

function newTypes({ numbers: { newTypes: rows } }: Recording): CommitStatement | null {
  if (rows.length === 0) return null
  return {
    name: 'log_event_type',
    sql: 'insert into event_type (type_id, name, schema_version) select * from unnest($1::int4[], $2::text[], $3::int4[])',
    values: [
      int4Array(rows.map(({ typeId }) => typeId)),
      textArray(rows.map(({ type }) => type)),
      int4Array(rows.map(({ schema }) => schema)),
    ],
    expectedRows: null,
  }
}

function newStreams({ numbers: { newStreams: rows } }: Recording): CommitStatement | null {
  if (rows.length === 0) return null
  return {
    name: 'log_stream',
    sql: `insert into stream (stream_id, name, category_id, first_pos)
      select * from unnest($1::int8[], $2::text[], $3::int4[], $4::int8[])`,
    values: [
      int8Array(rows.map(({ streamId }) => streamId)),
      textArray(rows.map(({ name }) => name)),
      int4Array(rows.map(({ categoryId }) => categoryId)),
      int8Array(rows.map(({ events }) => events[0]?.position ?? -1n)),
    ],
    expectedRows: null,
  }
}

function bigTexts({ batch }: Recording): CommitStatement | null {
  const blobs = [...batch.blobs.values()]
  if (blobs.length === 0) return null
  return {
    name: 'log_blob',
    sql: 'insert into blob (sha256, bytes) select * from unnest($1::bytea[], $2::bytea[]) on conflict do nothing',
    values: [
      byteaArray(blobs.map(({ sha256 }) => Buffer.from(sha256, 'hex'))),
      byteaArray(blobs.map(({ bytes }) => bytes)),
    ],
    expectedRows: null,
  }
}

function fullTiles({ tiles }: Recording): CommitStatement | null {
  return tiles.length === 0 ? null : tileStatement(tiles)
}
