import type { CheckpointCheck } from './checkpoint-check.ts'
import type { LogFindings } from './log-finding.ts'
import { fieldsOf, type LogSource } from './log-tables.ts'
import { RowQueue } from './row-queue.ts'
import { sha256Bytes } from './sha256.ts'
import { hashAt, newTile, type Tile, tileWidth } from './tile.ts'

/** The hashes of a tile as they were recomputed: `width` of them, 256 where it is full; and the root over them where it is known. */
export interface KnownTile {
  readonly hashes: Uint8Array
  readonly width: number
  readonly root: Uint8Array | null
}

/**
 * Compares the stored tiles with those of the tree as it is recomputed. Those of level 0 come first and are looked at before their
 * events, which makes them the witness that tells which event was changed; the levels above are compared at the end.
 */
export class TileCheck {
  readonly #findings: LogFindings
  readonly #checkpoints: CheckpointCheck
  readonly #queue: RowQueue
  #held: Tile[] = []
  /** Hashes of the levels above 0, as recomputed. */
  readonly #upper: Buffer[][] = []
  readonly #roots = new Map<string, Uint8Array>()
  readonly #isKept: boolean
  #first = 0n

  constructor(source: LogSource, { findings, checkpoints }: { findings: LogFindings; checkpoints: CheckpointCheck }) {
    const rows = source.rows('tile')
    this.#findings = findings
    this.#checkpoints = checkpoints
    this.#isKept = rows !== null
    this.#queue = new RowQueue(rows)
  }

  /** Begins with a tree whose first tiles are not recomputed: its tiles of level 0 from there on, the roots of those before as they are. */
  startAt(n: bigint): void {
    this.#first = n
  }

  /** The stored hashes of tile `n` of level 0: of the widest row there is; null where there is none. */
  async reference(n: bigint): Promise<Uint8Array | null> {
    await this.#holdUpTo(n)
    const rows = this.#held.filter((tile) => tile.level === 0 && tile.n === n)
    const widest = rows.toSorted((a, b) => b.hashes.length - a.hashes.length)[0]
    return widest?.hashes ?? null
  }

  /** Compares the rows of tile `n` of level 0 with its hashes as recomputed. */
  compare(n: bigint, { hashes, width, root }: KnownTile): void {
    const known = hashes.subarray(0, width * sha256Bytes)
    let isThere = false
    let isFound = false
    const due = this.#held.filter((tile) => tile.n <= n)
    this.#held = this.#held.filter((tile) => tile.n > n)
    for (const tile of due.toSorted((a, b) => sameHashes(b, known) - sameHashes(a, known))) {
      const isFull = tile.hashes.length === tileWidth * sha256Bytes
      // Of two full rows the one with other hashes belongs elsewhere; a partial one belongs to a checkpoint.
      const isSecond = isFull && isFound && sameHashes(tile, known) === 0
      if (tile.level !== 0 || tile.n !== n || isSecond || !(isFull || this.#isOfCheckpoint(tile))) {
        this.#stray(tile)
        continue
      }
      isThere ||= isFull
      isFound ||= isFull && sameHashes(tile, known) === 1
      this.#compareRow(tile, known, root)
    }
    if (width < tileWidth) return
    if (!isThere && this.#isKept) this.#missing(0, n)
    this.#rise({ level: 0, n, width, hashes, root: root ?? newTile(0, n, hashes).root })
  }

  /** Compares the rows of the levels above 0, and tells of rows that no tree of this size has. */
  async finish(): Promise<void> {
    for (const tile of this.#held.splice(0)) this.#stray(tile)
    for (let row = await this.#queue.next(); row !== null; row = await this.#queue.next()) {
      const tile = tileOf(row)
      const expected = this.#upper[tile.level - 1]
      const first = Number(tile.n) * tileWidth
      if (tile.level === 0 || expected === undefined || first + tileWidth > expected.length || tile.n < 0n) {
        this.#stray(tile)
        continue
      }
      this.#roots.delete(`${tile.level}/${tile.n}`)
      this.#compareRow(tile, Buffer.concat(expected.slice(first, first + tileWidth)), null)
    }
    if (!this.#isKept || this.#first > 0n) return
    for (const key of this.#roots.keys()) {
      const [level, n] = key.split('/')
      this.#missing(Number(level), BigInt(n ?? 0))
    }
  }

  async close(): Promise<void> {
    await this.#queue.close()
  }

  /** The root of a full tile is a hash of the level above. */
  #rise(tile: Tile): void {
    if (this.#first > 0n) return
    const above = (this.#upper[tile.level] ??= [])
    above.push(Buffer.from(tile.root))
    if (above.length % tileWidth !== 0) return
    const next = newTile(tile.level + 1, BigInt(above.length / tileWidth - 1), Buffer.concat(above.slice(-tileWidth)))
    this.#roots.set(`${next.level}/${next.n}`, next.root)
    this.#rise(next)
  }

  /** `root`: that over all that is expected, where it is known already. */
  #compareRow(tile: Tile, expected: Uint8Array, root: Uint8Array | null): void {
    const count = tile.hashes.length / sha256Bytes
    if (tile.width !== count)
      this.#wrong(tile, { column: 'width', text: `says that it has ${tile.width} hashes, it has ${count}` })
    if (tile.hashes.length > expected.length) return this.#stray(tile)
    const known = expected.subarray(0, tile.hashes.length)
    if (Buffer.compare(tile.hashes, known) !== 0) {
      const at = Array.from({ length: count }, (_, index) => index).find(
        (index) => Buffer.compare(hashAt(tile.hashes, index), hashAt(known, index)) !== 0,
      )
      this.#wrong(tile, { column: 'hashes', text: `has another hash number ${at} than the events give` })
    }
    const isWhole = known.length === expected.length
    const expectedRoot = isWhole && root !== null ? root : newTile(tile.level, tile.n, known).root
    if (Buffer.compare(tile.root, expectedRoot) !== 0) {
      this.#wrong(tile, { column: 'root', text: 'has another root than the events give' })
    }
  }

  async #holdUpTo(n: bigint): Promise<void> {
    for (;;) {
      if (this.#queue.isEmpty) await this.#queue.fill()
      const row = this.#queue.peek()
      if (row === null) return
      const tile = tileOf(row)
      if (tile.level > 0 || (tile.level === 0 && tile.n > n)) return
      this.#queue.take()
      if (tile.level === 0 && tile.n < this.#first && tile.n >= 0n) continue
      this.#held.push(tile)
    }
  }

  #isOfCheckpoint({ n, hashes }: Tile): boolean {
    return this.#checkpoints.isSigned(n * BigInt(tileWidth) + BigInt(hashes.length / sha256Bytes))
  }

  #stray(tile: Tile): void {
    const text = `tile ${keyOf(tile)} is not one of this tree`
    this.#findings.add({ table: 'tile', key: keyOf(tile), columns: ['level', 'n', 'width'], position: null, text })
  }

  #missing(level: number, n: bigint): void {
    const text = `tile ${level}/${n} is missing`
    this.#findings.add({ table: 'tile', key: `${level}/${n}`, columns: ['level', 'n', 'width'], position: null, text })
  }

  #wrong(tile: Tile, { column, text }: { readonly column: string; readonly text: string }): void {
    const key = keyOf(tile)
    this.#findings.add({ table: 'tile', key, columns: [column], position: null, text: `tile ${key} ${text}` })
  }
}

/** 1 where the hashes of a tile are those that are known, as far as it has them; else 0. */
function sameHashes({ hashes }: Tile, known: Uint8Array): 0 | 1 {
  return Buffer.compare(hashes, known.subarray(0, hashes.length)) === 0 ? 1 : 0
}

function keyOf({ level, n }: Tile): string {
  return `${level}/${n}`
}

function tileOf(row: Buffer): Tile {
  const [level, n, width, hashes, root] = fieldsOf(row, 5)
  if (!level || !n || !width || !hashes || !root) throw new RangeError('a row of table tile has a null')
  return { level: level.readInt32BE(), n: n.readBigInt64BE(), width: width.readInt32BE(), hashes, root }
}
