import { emptyRoot, nodeHash } from './merkle-hash.ts'

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
  const hashes = edge.hashes.slice()
  // Of a number below 2^53 the low bits tell what is joined; a tree of more leaves than that cannot be made one by one.
  let size = Number(edge.size)
  for (const leaf of leaves) {
    let node = leaf
    let height = 0
    for (let bits = size; bits % 2 === 1; bits = (bits - 1) / 2) {
      node = nodeHash(popHash(hashes), node)
      height += 1
      if (height % 8 === 0) onFullTile?.(node)
    }
    hashes.push(node)
    size += 1
  }
  return { size: BigInt(size), hashes }
}

/** The root of the tree (RFC 6962 section 2.1); that of the empty tree is the hash of nothing. */
export function treeRoot({ hashes }: TreeEdge): Uint8Array {
  let root = hashes.at(-1) ?? emptyRoot
  for (let at = hashes.length - 2; at >= 0; at -= 1) root = nodeHash(hashes[at] ?? emptyRoot, root)
  return root
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

function popHash(hashes: Uint8Array[]): Uint8Array {
  const top = hashes.pop()
  if (top === undefined) throw new Error('Cannot append a leaf: the edge has fewer hashes than its size says')
  return top
}
