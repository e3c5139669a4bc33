import { emptyRoot, nodeHash } from './merkle-hash.ts'

/**
 * Gives the root of a perfect subtree: of the leaves from `index * 2^height` on, `2^height` of them, all within the tree that the proof
 * is made for.
 */
export type SubtreeHash = (height: number, index: bigint) => Promise<Uint8Array>

/** The root over the leaves `from` to `to` (not included); `from` must be a multiple of the largest power of two below the count. */
export async function rangeRoot(from: bigint, to: bigint, subtree: SubtreeHash): Promise<Uint8Array> {
  const count = to - from
  if (count === 0n) return emptyRoot
  const height = heightBelow(count)
  const left = await subtree(height, from >> BigInt(height))
  const middle = from + (1n << BigInt(height))
  return middle === to ? left : nodeHash(left, await rangeRoot(middle, to, subtree))
}

/** The audit path of a leaf in the tree of `size` leaves (RFC 6962 section 2.1.1): the hashes beside its way up, lowest first. */
export async function inclusionProof(
  index: bigint,
  { size, subtree }: { readonly size: bigint; readonly subtree: SubtreeHash },
): Promise<readonly Uint8Array[]> {
  if (index < 0n || index >= size) throw new RangeError(`Cannot prove leaf ${index}: the tree has ${size} leaves`)
  const path: Uint8Array[] = []
  let [from, to] = [0n, size]
  while (to - from > 1n) {
    const middle = from + splitOf(to - from)
    if (index < middle) {
      path.push(await rangeRoot(middle, to, subtree))
      to = middle
    } else {
      path.push(await rangeRoot(from, middle, subtree))
      from = middle
    }
  }
  return path.reverse()
}

/** The proof that the tree of `oldSize` leaves is the beginning of that of `newSize` (RFC 6962 section 2.1.2). */
export async function consistencyProof(
  oldSize: bigint,
  { newSize, subtree }: { readonly newSize: bigint; readonly subtree: SubtreeHash },
): Promise<readonly Uint8Array[]> {
  if (oldSize < 0n || oldSize > newSize) {
    throw new RangeError(`Cannot prove that a tree of ${newSize} leaves holds one of ${oldSize}`)
  }
  if (oldSize === 0n || oldSize === newSize) return []
  const path: Uint8Array[] = []
  let [from, to] = [0n, newSize]
  while (to !== oldSize) {
    const middle = from + splitOf(to - from)
    if (oldSize <= middle) {
      path.push(await rangeRoot(middle, to, subtree))
      to = middle
    } else {
      path.push(await rangeRoot(from, middle, subtree))
      from = middle
    }
  }
  if (from > 0n) path.push(await rangeRoot(from, to, subtree))
  return path.reverse()
}

/** The root that a leaf hash and its audit path lead to; null where the path has not the length that index and size ask for. */
export function rootOfInclusion(
  leaf: Uint8Array,
  where: { readonly index: bigint; readonly size: bigint; readonly path: readonly Uint8Array[] },
): Uint8Array | null {
  const { index, size, path } = where
  if (index < 0n || index >= size || !wellFormed([leaf, ...path])) return null
  let [node, last, root] = [index, size - 1n, leaf]
  for (const hash of path) {
    if (last === 0n) return null
    if ((node & 1n) === 1n || node === last) {
      root = nodeHash(hash, root)
      while ((node & 1n) === 0n && node !== 0n) [node, last] = [node >> 1n, last >> 1n]
    } else {
      root = nodeHash(root, hash)
    }
    ;[node, last] = [node >> 1n, last >> 1n]
  }
  return last === 0n ? root : null
}

/** Whether the proof shows that the tree with the old root is the beginning of that with the new root. */
export function isConsistent(
  older: { readonly size: bigint; readonly root: Uint8Array },
  newer: { readonly size: bigint; readonly root: Uint8Array },
  path: readonly Uint8Array[],
): boolean {
  if (older.size < 0n || older.size > newer.size || !wellFormed([older.root, newer.root, ...path])) return false
  if (older.size === newer.size) return path.length === 0 && same(older.root, newer.root)
  if (older.size === 0n) return path.length === 0 && same(older.root, emptyRoot)
  // A whole old tree that is one perfect subtree is its own first hash.
  const hashes = (older.size & (older.size - 1n)) === 0n ? [older.root, ...path] : path
  const [first, ...rest] = hashes
  if (first === undefined) return false
  let [node, last] = [older.size - 1n, newer.size - 1n]
  while ((node & 1n) === 1n) [node, last] = [node >> 1n, last >> 1n]
  let [oldRoot, newRoot] = [first, first]
  for (const hash of rest) {
    if (last === 0n) return false
    if ((node & 1n) === 1n || node === last) {
      oldRoot = nodeHash(hash, oldRoot)
      newRoot = nodeHash(hash, newRoot)
      while ((node & 1n) === 0n && node !== 0n) [node, last] = [node >> 1n, last >> 1n]
    } else {
      newRoot = nodeHash(newRoot, hash)
    }
    ;[node, last] = [node >> 1n, last >> 1n]
  }
  return last === 0n && same(oldRoot, older.root) && same(newRoot, newer.root)
}

/** The number of leaves on the left of the root of a tree: the largest power of two below the count. */
function splitOf(count: bigint): bigint {
  return 1n << BigInt((count - 1n).toString(2).length - 1)
}

/** Height of the largest perfect subtree that a tree of so many leaves begins with. */
function heightBelow(count: bigint): number {
  return count.toString(2).length - 1
}

function wellFormed(hashes: readonly Uint8Array[]): boolean {
  return hashes.every((hash) => hash.length === emptyRoot.length)
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
