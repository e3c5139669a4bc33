import type { EventRow } from './event-row.ts'
import { GrowingTree, type TreeMark } from './growing-tree.ts'
import { nodeHash } from './merkle-hash.ts'
import { sha256Bytes } from './sha256.ts'
import { hashAt, rootOf, tileWidth } from './tile.ts'

/** An event of a commit with its leaf hash as recomputed, and the one that its tile has recorded where there is one. */
export interface CommitLeaf {
  readonly position: number
  readonly event: EventRow | null
  leaf: Uint8Array
  readonly recorded: Uint8Array | null
}

/** Events of a commit that lie in one tile: they begin with leaf number `first` of its `row`. `reference`: its hashes as recorded. */
export interface CommitPart {
  readonly position: number
  readonly first: number
  readonly row: Buffer
  readonly reference: Uint8Array | null
  readonly events: readonly (EventRow | null)[]
}

/** The leaves of one commit, and the tree before it: what it takes to compute the commit's root again with other leaves. */
export class CommitLeaves {
  readonly parts: CommitPart[] = []
  readonly #before: TreeMark
  #leaves: readonly CommitLeaf[] | null = null

  constructor(before: TreeMark) {
    this.#before = before
  }

  /** The leaves one by one; made when they are asked for, which they are not as long as nothing is wrong. */
  get leaves(): readonly CommitLeaf[] {
    this.#leaves ??= this.parts.flatMap(({ position, first, row, reference, events }) =>
      events.map((event, at) => ({
        position: position + at,
        event,
        leaf: hashAt(row, first + at),
        recorded: recordedAt(reference, first + at),
      })),
    )
    return this.#leaves
  }

  /** Those whose leaf is not the recorded one. */
  get different(): readonly CommitLeaf[] {
    return this.leaves.filter(
      ({ event, leaf, recorded }) => event === null || (recorded !== null && Buffer.compare(leaf, recorded) !== 0),
    )
  }

  /** Those for which nothing but the root of the commit speaks. */
  get unrecorded(): readonly CommitLeaf[] {
    return this.leaves.filter(({ event, recorded }) => event !== null && recorded === null)
  }

  /** The tree after the commit with the leaves as they are now; `onTile` hears of the tiles that it completes. */
  rebuild(onTile: (n: number, row: Buffer, root: Uint8Array) => void): GrowingTree {
    const heard: (typeof onTile)[] = []
    const tree = new GrowingTree((n, row, root) => {
      for (const each of heard) each(n, row, root)
    }, this.#before)
    heard.push(onTile)
    for (const { leaf } of this.leaves) tree.append(leaf)
    return tree
  }

  /**
   * What leads from the leaf of an event to the root after the commit: a function from leaf hash to root. Null where the leaf is not in
   * the last tile of the tree.
   */
  wayUp(position: number, tree: GrowingTree): ((leaf: Uint8Array) => Uint8Array) | null {
    const first = tree.size - (tree.size % tileWidth)
    if (position < first) return null
    const steps: Step[] = []
    climb(steps, { row: tree.row.subarray(0, (tree.size - first) * sha256Bytes), index: position - first })
    for (const hash of tree.mark().above.toReversed()) steps.push({ hash, isLeft: true })
    return (leaf) =>
      steps.reduce((node, { hash, isLeft }) => (isLeft ? nodeHash(hash, node) : nodeHash(node, hash)), leaf)
  }
}

interface Step {
  readonly hash: Uint8Array
  readonly isLeft: boolean
}

/** Collects the hashes beside the way from a leaf to the root over a row of leaf hashes, lowest first. */
function climb(steps: Step[], { row, index }: { readonly row: Uint8Array; readonly index: number }): void {
  const count = row.length / sha256Bytes
  if (count <= 1) return
  const split = 1 << (31 - Math.clz32(count - 1))
  const [left, right] = [row.subarray(0, split * sha256Bytes), row.subarray(split * sha256Bytes)]
  if (index < split) {
    climb(steps, { row: left, index })
    steps.push({ hash: Buffer.from(rootOf(right)), isLeft: false })
  } else {
    climb(steps, { row: right, index: index - split })
    steps.push({ hash: Buffer.from(rootOf(left)), isLeft: true })
  }
}

/** Hash number `at` of the recorded hashes of a tile; null where it has not so many. */
export function recordedAt(reference: Uint8Array | null, at: number): Uint8Array | null {
  return reference === null || reference.length < (at + 1) * sha256Bytes ? null : hashAt(reference, at)
}
