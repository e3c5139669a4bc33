import { nodeHash } from './merkle-hash.ts'
import type { SubtreeHash } from './merkle-proof.ts'
import { sha256Bytes } from './sha256.ts'

/** Hashes of a full tile, and its height in the tree. */
export const tileWidth = 256
const tileHeight = 8

/**
 * A tile of the tree (C2SP tlog-tiles): on level L its hashes are roots of 256^L leaves each, `hashes` holds them one after the other;
 * `root` is the root over them. A tile narrower than 256 is partial.
 */
export interface Tile {
  readonly level: number
  readonly n: bigint
  readonly width: number
  readonly hashes: Uint8Array
  readonly root: Uint8Array
}

/** Where a tile stands below the prefix of a tiled log: `tile/<level>/<n>[.p/<width>]`, n in groups of three digits. */
export function tilePath({ level, n, width }: Pick<Tile, 'level' | 'n' | 'width'>): string {
  const digits = String(n)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.{3}/g) ?? []
  const path = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/')
  return `tile/${level}/${path}${width === tileWidth ? '' : `.p/${width}`}`
}

/** Makes a tile of its hashes. */
export function newTile(level: number, n: bigint, hashes: Uint8Array): Tile {
  return { level, n, width: hashes.length / sha256Bytes, hashes, root: rootOf(hashes) }
}

/** Hash number `at` of a row of hashes. */
export function hashAt(hashes: Uint8Array, at: number): Uint8Array {
  return hashes.subarray(at * sha256Bytes, (at + 1) * sha256Bytes)
}

/** The RFC 6962 root over hashes that stand one after the other, as if each were a leaf hash; at least one. */
export function rootOf(hashes: Uint8Array): Uint8Array {
  const count = hashes.length / sha256Bytes
  if (count === 1) return hashes
  const split = 1 << (31 - Math.clz32(count - 1))
  return nodeHash(rootOf(hashes.subarray(0, split * sha256Bytes)), rootOf(hashes.subarray(split * sha256Bytes)))
}

/** Gives the first `width` hashes of a tile, from wherever they are kept. */
export type TileHashes = (level: number, n: bigint, width: number) => Promise<Uint8Array>

/** Perfect subtrees of a tree of `size` leaves, computed from its tiles; each tile is asked for once. */
export function subtreesOf(size: bigint, tileHashes: TileHashes): SubtreeHash {
  const cache = new Map<string, Promise<Uint8Array>>()
  return async (height, index) => {
    const level = Math.floor(height / tileHeight)
    const spanBits = BigInt(height % tileHeight)
    const first = index << spanBits
    const n = first >> BigInt(tileHeight)
    const held = (size >> BigInt(tileHeight * level)) - (n << BigInt(tileHeight))
    const width = held > BigInt(tileWidth) ? tileWidth : Number(held)
    const key = `${level}/${n}`
    const tile = cache.get(key) ?? tileHashes(level, n, width)
    cache.set(key, tile)
    const hashes = await tile
    const at = Number(first & BigInt(tileWidth - 1))
    return rootOf(hashes.subarray(at * sha256Bytes, (at + (1 << Number(spanBits))) * sha256Bytes))
  }
}
