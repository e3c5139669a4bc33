import type { ClientBase } from 'pg'
import type { OpenedCheckpoint } from './checkpoint.ts'
import { treeOfTiles } from './read-tree.ts'
import { tileWidth } from './tile.ts'

/** Where a verification begins that takes a checkpoint for granted: at the first event of the tile that the checkpoint ends in. */
export interface TrustedStart {
  readonly checkpoint: OpenedCheckpoint
  /** The commit of the first event that is read, and its first position, at or before that event. */
  readonly commitNo: bigint
  readonly commitFirst: bigint
  readonly position: bigint
  /** Roots of the full tiles before it, in perfect subtrees. That they are right shows at the checkpoint's root. */
  readonly above: readonly Uint8Array[]
}

/** Finds where to begin after a checkpoint. Throws where the log does not reach so far, or has not the tiles. */
export async function trustedStart(client: ClientBase, checkpoint: OpenedCheckpoint): Promise<TrustedStart> {
  const { size } = checkpoint
  const position = size - (size % BigInt(tileWidth))
  const { rows } = await client.query<{ commit_no: bigint; first_pos: bigint }>(
    'select commit_no, first_pos from commit where last_pos >= $1::int8 order by last_pos limit 1',
    [position],
  )
  const head = await client.query<{ last: bigint | null }>('select max(last_pos) as last from commit')
  const last = head.rows[0]?.last ?? -1n
  if (size > last + 1n) {
    throw new Error(`Cannot start at the checkpoint: it was signed over ${size} events, the log has ${last + 1n}`)
  }
  const tree = await treeOfTiles(client, position)
  if (tree === null)
    throw new Error(`Cannot start at the checkpoint: the log has not the tiles of its first ${position} events`)
  const [commit] = rows
  const commitNo = commit?.commit_no ?? (await lastCommit(client))
  return { checkpoint, commitNo, commitFirst: commit?.first_pos ?? position, position, above: tree.edge.hashes }
}

/** Where nothing follows: the number that the next commit would have. */
async function lastCommit(client: ClientBase): Promise<bigint> {
  const { rows } = await client.query<{ next: bigint }>('select max(commit_no) + 1 as next from commit')
  return rows[0]?.next ?? 0n
}
