import type { ClientBase } from 'pg'
import { LogCorruptError } from './append-errors.ts'
import { eventLeaf } from './event-leaf.ts'
import type { LogReader } from './log-reader.ts'
import type { LogHead } from './recorded-event.ts'
import { tileWidth } from './tile.ts'
import { tileStatement } from './tile-statement.ts'
import { treeRoot } from './tree-edge.ts'
import { emptyFront, growTree, levelsOf, type TreeFront, treeOfFront } from './tree-front.ts'

/** How far the making of missing tiles is. */
export interface TileProgress {
  readonly size: bigint
  readonly target: bigint
}

interface TreeSource {
  readonly head: LogHead
  readonly reader: LogReader
  readonly onProgress?: (progress: TileProgress) => void
}

// Tiles that one transaction makes where they are missing: 65,536 events
const tilesAtOnce = 256

/**
 * The tree at the head, for whoever writes on: the roots of the full tiles, and the leaves of the events after them, fewer than 256. Its
 * root must be that of the head. A log whose tiles were never made gets them here, from all of its events, once.
 */
export async function readTree(client: ClientBase, source: TreeSource): Promise<TreeFront> {
  const size = source.head.position + 1n
  const full = size - (size % BigInt(tileWidth))
  const before = (await treeOfTiles(client, full)) ?? (await makeTiles(client, { ...source, full }))
  const leaves = await readLeaves(source, { from: full, count: Number(size - full) })
  const { edge, front } = growTree(before, leaves)
  if (edge.size !== size || Buffer.compare(source.head.root, treeRoot(edge)) !== 0) {
    throw new LogCorruptError(
      `Cannot open the log: the events up to position ${source.head.position} do not give the root of commit ${source.head.commitNo}; \`chronovisor verify\` says where they differ`,
    )
  }
  return { edge, front }
}

/** The tree of `size` leaves, a multiple of 256, from the roots of its tiles; null where some are missing. */
export async function treeOfTiles(client: ClientBase, size: bigint): Promise<TreeFront | null> {
  const rows: Uint8Array[] = []
  for (let level = 0; level < levelsOf(size); level += 1) {
    const count = size >> BigInt(8 * level)
    const width = Number(count & BigInt(tileWidth - 1))
    const roots =
      level === 0 ? [] : await readRoots(client, { level: level - 1, from: count - BigInt(width), to: count })
    if (roots.length !== width) return null
    rows.push(Buffer.concat(roots))
  }
  return treeOfFront(size, rows)
}

async function readRoots(
  client: ClientBase,
  { level, from, to }: { readonly level: number; readonly from: bigint; readonly to: bigint },
): Promise<readonly Uint8Array[]> {
  const { rows } = await client.query<{ n: bigint; root: Buffer }>(
    'select n, root from tile where level = $1::int4 and n >= $2::int8 and n < $3::int8 and width = $4::int4 order by n',
    [level, from, to, tileWidth],
  )
  return rows.every(({ n }, at) => n === from + BigInt(at)) ? rows.map(({ root }) => root) : []
}

/** Makes all full tiles of a log that has none, or not all: in transactions of 65,536 events, so that what ends in between goes on there. */
async function makeTiles(client: ClientBase, source: TreeSource & { readonly full: bigint }): Promise<TreeFront> {
  const { rows } = await client.query<{ done: bigint }>(
    'select coalesce(max(n) + 1, 0)::int8 as done from tile where level = 0 and width = $1::int4',
    [tileWidth],
  )
  const chunk = BigInt(tilesAtOnce * tileWidth)
  const done = ((rows[0]?.done ?? 0n) * BigInt(tileWidth)) / chunk
  let tree = (await treeOfTiles(client, done * chunk)) ?? emptyFront
  while (tree.edge.size < source.full) {
    const from = tree.edge.size
    source.onProgress?.({ size: from, target: source.full })
    const left = source.full - from
    const leaves = await readLeaves(source, { from, count: Number(left < chunk ? left : chunk) })
    const { tiles, ...grown } = growTree(tree, leaves)
    const { sql, values } = tileStatement(tiles)
    await client.query(`${sql} on conflict do nothing`, [...values])
    tree = grown
  }
  return tree
}

async function readLeaves(
  { reader, head }: TreeSource,
  { from, count }: { readonly from: bigint; readonly count: number },
): Promise<readonly Uint8Array[]> {
  const leaves: Uint8Array[] = []
  if (count === 0) return leaves
  for await (const event of reader.readAll({ from, maxCount: count })) leaves.push(eventLeaf(event))
  if (leaves.length === count) return leaves
  throw new LogCorruptError(
    `Cannot open the log: it ends at position ${from + BigInt(leaves.length) - 1n}, commit ${head.commitNo} says ${head.position}`,
  )
}
