import { hash } from 'node:crypto'

const hashBytes = 32

/**
 * The right edge of an RFC 6962 Merkle tree: the roots of its perfect subtrees, largest first, one for each bit set in `size`. It is all
 * that is needed to append leaves and to give the root.
 */
export interface TreeEdge {
  readonly size: bigint
  readonly hashes: readonly Uint8Array[]
}

/** The tree without leaves. */
export const emptyTree: TreeEdge = { size: 0n, hashes: [] }

/** The edge after these leaf hashes are appended. `onFullTile` hears the roots of 256, 65,536, ... leaves that become whole, smallest first. */
export function appendLeaves(
  edge: TreeEdge,
  leaves: readonly Uint8Array[],
  onFullTile?: (root: Uint8Array) => void,
): TreeEdge {
  const hashes = [...edge.hashes]
  let size = edge.size
  for (const leaf of leaves) {
    let node = leaf
    let height = 0
    for (let bits = size; (bits & 1n) === 1n; bits >>= 1n) {
      node = nodeHash(popHash(hashes), node)
      height += 1
      if (height % 8 === 0) onFullTile?.(node)
    }
    hashes.push(node)
    size += 1n
  }
  return { size, hashes }
}

/** The root of the tree (RFC 6962 section 2.1); that of the empty tree is the hash of nothing. */
export function treeRoot(edge: TreeEdge): Uint8Array {
  const [last, ...others] = edge.hashes.toReversed()
  if (last === undefined) return hash('sha256', '', 'buffer')
  return others.reduce((root, left) => nodeHash(left, root), last)
}

/** The stored form of an edge: its hashes, one after the other. */
export function encodeEdge(edge: TreeEdge): Uint8Array {
  return Buffer.concat(edge.hashes)
}

/** Reads {@link encodeEdge}; throws where the number of hashes does not fit the size. */
export function decodeEdge(size: bigint, stored: Uint8Array): TreeEdge {
  const expected = size.toString(2).replaceAll('0', '').length
  if (stored.length !== expected * hashBytes) {
    throw new Error(
      `Cannot read the tree edge at size ${size}: it has ${stored.length} bytes, expected ${expected * hashBytes}`,
    )
  }
  const hashes = Array.from({ length: expected }, (_, index) =>
    stored.subarray(index * hashBytes, (index + 1) * hashBytes),
  )
  return { size, hashes }
}

function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return hash('sha256', Buffer.concat([nodePrefix, left, right]), 'buffer')
}

const nodePrefix = Uint8Array.of(1)

function popHash(hashes: Uint8Array[]): Uint8Array {
  const top = hashes.pop()
  if (top === undefined) throw new Error('Cannot append a leaf: the edge has fewer hashes than its size says')
  return top
}
