import { hashAt, rootOf, type Tile, tileWidth } from './tile.ts'
import { sha256Bytes } from './sha256.ts'
import { appendLeaves, type TreeEdge } from './tree-edge.ts'

/**
 * The tree as its writer remembers it: the edge gives the root, the front finishes tiles. `front` has, for each level, the hashes of the
 * tile that is not full yet.
 */
export interface TreeFront {
  readonly edge: TreeEdge
  readonly front: readonly (readonly Uint8Array[])[]
}

/** A tree that has grown, and the tiles that became full by it, in the order in which they did. */
export interface GrownTree extends TreeFront {
  readonly tiles: readonly Tile[]
}

/** The tree after these leaf hashes are appended. */
export function growTree({ edge, front }: TreeFront, leaves: readonly Uint8Array[]): GrownTree {
  const own: Uint8Array[][] = []
  const rowOf = (level: number): Uint8Array[] => (own[level] ??= front[level]?.slice() ?? [])
  const tiles: Tile[] = []
  let grown = edge
  for (let from = 0; from < leaves.length; ) {
    const room = tileWidth - rowOf(0).length
    const part = leaves.slice(from, from + room)
    rowOf(0).push(...part)
    const roots: Uint8Array[] = []
    grown = appendLeaves(grown, part, (root) => roots.push(root))
    for (const [level, root] of roots.entries()) {
      const n = (grown.size >> BigInt(8 * (level + 1))) - 1n
      tiles.push({ level, n, width: tileWidth, hashes: Buffer.concat(rowOf(level)), root })
      own[level] = []
      rowOf(level + 1).push(root)
    }
    from += part.length
  }
  const levels = Math.max(front.length, own.length)
  return { edge: grown, front: Array.from({ length: levels }, (_, level) => own[level] ?? front[level] ?? []), tiles }
}

/** The tree whose unfinished tiles have these hashes, lowest level first. Throws where they do not fit the size. */
export function treeOfFront(size: bigint, rows: readonly Uint8Array[]): TreeFront {
  const hashes: Uint8Array[] = []
  for (let level = rows.length - 1; level >= 0; level -= 1) {
    const row = rows[level] ?? new Uint8Array()
    const width = Number((size >> BigInt(8 * level)) & 255n)
    if (row.length !== width * sha256Bytes) {
      throw new Error(`Cannot build the tree of ${size} leaves: level ${level} has ${row.length} bytes of hashes`)
    }
    for (let at = 0, bit = 128; bit > 0; bit >>= 1) {
      if ((width & bit) === 0) continue
      hashes.push(rootOf(row.subarray(at * sha256Bytes, (at + bit) * sha256Bytes)))
      at += bit
    }
  }
  if (size >> BigInt(8 * rows.length) !== 0n)
    throw new Error(`Cannot build the tree of ${size} leaves: levels are missing`)
  const front = rows.map((row) => Array.from({ length: row.length / sha256Bytes }, (_, at) => hashAt(row, at)))
  return { edge: { size, hashes }, front }
}

/** How many levels of tiles a tree of so many leaves has begun. */
export function levelsOf(size: bigint): number {
  return Math.ceil(size.toString(2).length / 8)
}

/** The tree without leaves. */
export const emptyFront: TreeFront = { edge: { size: 0n, hashes: [] }, front: [] }
