import { byteaArray, int4Array, int8Array } from './binary-values.ts'
import type { CommitStatement } from './commit-participant.ts'
import type { Tile } from './tile.ts'

/** Inserts tiles; at least one. */
export function tileStatement(tiles: readonly Tile[]): CommitStatement {
  return {
    name: 'log_tile',
    sql: `insert into tile (level, n, width, hashes, root)
      select * from unnest($1::int4[], $2::int8[], $3::int4[], $4::bytea[], $5::bytea[])`,
    values: [
      int4Array(tiles.map(({ level }) => level)),
      int8Array(tiles.map(({ n }) => n)),
      int4Array(tiles.map(({ width }) => width)),
      byteaArray(tiles.map(({ hashes }) => hashes)),
      byteaArray(tiles.map(({ root }) => root)),
    ],
    expectedRows: null,
  }
}
