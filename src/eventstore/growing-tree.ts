import { emptyRoot, nodeHash } from './merkle-hash.ts'
import { sha256Bytes, sha256Into } from './sha256.ts'
import { tileWidth } from './tile.ts'

const tileBytes = tileWidth * sha256Bytes
const nodeScratch = Buffer.alloc(1 + 2 * sha256Bytes)
nodeScratch[0] = 1

/** What is needed to go back to a size of a {@link GrowingTree}, or to compute with other leaves from there on. */
export interface TreeMark {
  readonly size: number
  readonly row: Buffer
  readonly above: readonly Uint8Array[]
}

/**
 * A tree to which leaf hashes are written one by one, for whoever verifies many: inner hashes of the tile being filled stand side by
 * side, nothing is allocated for them. `row` holds the leaf hashes of that tile.
 */
export class GrowingTree {
  #size: number
  #row: Buffer
  /** Roots of full tiles in perfect subtrees, largest first, as `TreeEdge` has them. */
  #above: Uint8Array[]
  /** Inner hashes of the tile being filled, by height from 1 to 8. */
  readonly #inner = Array.from({ length: 8 }, (_, height) => Buffer.alloc(tileBytes >> (height + 1)))
  readonly #onTile: (n: number, row: Buffer, root: Buffer) => void

  constructor(onTile: (n: number, row: Buffer, root: Buffer) => void, from?: TreeMark) {
    this.#onTile = onTile
    this.#size = from === undefined ? 0 : from.size - (from.size % tileWidth)
    this.#row = Buffer.alloc(tileBytes)
    this.#above = [...(from?.above ?? [])]
    const leaves = from === undefined ? 0 : from.size % tileWidth
    for (let at = 0; at < leaves; at += 1) this.append(from?.row.subarray(at * sha256Bytes, (at + 1) * sha256Bytes))
  }

  get size(): number {
    return this.#size
  }

  /** The leaf hashes of the tile being filled. */
  get row(): Buffer {
    return this.#row
  }

  /** Where in `row` the next leaf hash belongs. */
  get slot(): number {
    return (this.#size % tileWidth) * sha256Bytes
  }

  /** The tree as it is now; stays what it is. */
  mark(): TreeMark {
    return { size: this.#size, row: this.#row, above: this.#above.length === 0 ? [] : [...this.#above] }
  }

  /** Takes the leaf hash that was written to `row` at `slot`, or the given one. */
  append(leaf?: Uint8Array): void {
    if (leaf !== undefined) this.#row.set(leaf, this.slot)
    let index = this.#size % tileWidth
    let below = this.#row
    for (const inner of this.#inner) {
      if ((index & 1) === 0) break
      below.copy(nodeScratch, 1, (index - 1) * sha256Bytes, (index + 1) * sha256Bytes)
      index >>= 1
      sha256Into(inner, index * sha256Bytes, nodeScratch)
      below = inner
    }
    this.#size += 1
    if (this.#size % tileWidth === 0) this.#fullTile()
  }

  /** The root at the present size. */
  root(): Uint8Array {
    let root: Uint8Array | null = null
    const width = this.#size % tileWidth
    for (let height = 0; width >> height > 0; height += 1) {
      if (((width >> height) & 1) === 0) continue
      const hashes = height === 0 ? this.#row : this.#inner[height - 1]
      const at = ((width >> height) - 1) * sha256Bytes
      const hash = hashes?.subarray(at, at + sha256Bytes) ?? emptyRoot
      root = root === null ? hash : nodeHash(hash, root)
    }
    for (let at = this.#above.length - 1; at >= 0; at -= 1) {
      const hash = this.#above[at] ?? emptyRoot
      root = root === null ? hash : nodeHash(hash, root)
    }
    return root ?? emptyRoot
  }

  /** Roots of its perfect subtrees, largest first, one after the other: the stored form of a `TreeEdge`. */
  edge(): Uint8Array {
    const hashes = [...this.#above]
    const width = this.#size % tileWidth
    for (let height = 7; height >= 0; height -= 1) {
      if (((width >> height) & 1) === 0) continue
      const row = height === 0 ? this.#row : this.#inner[height - 1]
      const at = ((width >> height) - 1) * sha256Bytes
      hashes.push(row?.subarray(at, at + sha256Bytes) ?? emptyRoot)
    }
    return Buffer.concat(hashes)
  }

  #fullTile(): void {
    const root = Buffer.from(this.#inner[7] ?? emptyRoot)
    const n = this.#size / tileWidth - 1
    this.#onTile(n, this.#row, root)
    this.#row = Buffer.alloc(tileBytes)
    let node: Uint8Array = root
    for (let bits = n; bits % 2 === 1; bits = (bits - 1) / 2) node = nodeHash(this.#above.pop() ?? emptyRoot, node)
    this.#above.push(node)
  }
}
