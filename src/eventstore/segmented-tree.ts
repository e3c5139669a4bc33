import { GrowingTree } from './growing-tree.ts'
import { sha256Bytes } from './sha256.ts'
import { newTile, type Tile, tileWidth } from './tile.ts'
import { appendLeaves, emptyTree, type TreeEdge, treeRoot } from './tree-edge.ts'

/** The fewest events of a segment: those of a tile. */
export const leastSegmentRows = tileWidth

/**
 * The tree over events that come in segments of a fixed size, a power of two: its root so far, that of every segment alone, and the full
 * tiles of level 0, of which `onTile` hears.
 */
export class SegmentedTree {
  readonly #segmentRows: number
  readonly #onTile: (tile: Tile) => void
  /** Of segments as if they were leaves. */
  #full: TreeEdge = emptyTree
  #segment: GrowingTree
  #last: Uint8Array | null = null

  constructor(options: { readonly segmentRows: number; readonly onTile?: (tile: Tile) => void }) {
    this.#segmentRows = options.segmentRows
    this.#onTile = options.onTile ?? (() => undefined)
    this.#segment = this.#newSegment()
  }

  get size(): bigint {
    return this.#full.size * BigInt(this.#segmentRows) + BigInt(this.#segment.size)
  }

  add(leaf: Uint8Array): void {
    this.#segment.append(leaf)
  }

  /** Takes a whole segment whose tree is known; one that is not full must be the last. */
  addSegment(tree: Uint8Array, { rows }: { readonly rows: number }): void {
    if (rows === this.#segmentRows) this.#full = appendLeaves(this.#full, [tree])
    else this.#last = tree
  }

  root(): Uint8Array {
    const last = this.#last ?? (this.#segment.size === 0 ? null : this.#segment.root())
    // What is not full is the rightmost subtree, whatever its size: its root is a part of the whole as it is.
    return treeRoot({ size: this.#full.size, hashes: last === null ? this.#full.hashes : [...this.#full.hashes, last] })
  }

  /** The tree of the segment that ends here. */
  endSegment(): Uint8Array {
    const tree = Buffer.from(this.#segment.root())
    if (this.#segment.size === this.#segmentRows) {
      this.#full = appendLeaves(this.#full, [tree])
      this.#segment = this.#newSegment()
    }
    return tree
  }

  /** The tile of level 0 that is not full yet; null where none is begun. */
  partialTile(): Tile | null {
    const { size, row } = this.#segment.mark()
    const width = size % tileWidth
    if (width === 0) return null
    return newTile(0, this.size / BigInt(tileWidth), Buffer.from(row.subarray(0, width * sha256Bytes)))
  }

  #newSegment(): GrowingTree {
    const first = (this.#full.size * BigInt(this.#segmentRows)) / BigInt(tileWidth)
    return new GrowingTree((n, hashes, root) =>
      this.#onTile({ level: 0, n: first + BigInt(n), width: tileWidth, hashes, root }),
    )
  }
}
