import { newTile, type Tile, tileWidth } from './tile.ts'

/** Makes all full tiles of a tree from those of level 0, which come in order. */
export class TileMaker {
  readonly #made: Tile[] = []
  /** By level from 1: how many tiles are full, and the hashes of the one that is not. */
  readonly #levels: { count: bigint; hashes: Uint8Array[] }[] = []

  /** Takes the next full tile of level 0. */
  add(tile: Tile): void {
    this.#made.push(tile)
    this.#raise(1, tile.root)
  }

  /** What was made since the last call. */
  take(): readonly Tile[] {
    return this.#made.splice(0)
  }

  #raise(level: number, root: Uint8Array): void {
    const above = (this.#levels[level - 1] ??= { count: 0n, hashes: [] })
    above.hashes.push(root)
    if (above.hashes.length < tileWidth) return
    const tile = newTile(level, above.count, Buffer.concat(above.hashes))
    above.count += 1n
    above.hashes = []
    this.#made.push(tile)
    this.#raise(level + 1, tile.root)
  }
}
