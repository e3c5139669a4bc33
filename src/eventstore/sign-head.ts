import type pg from 'pg'
import { LogCorruptError } from './append-errors.ts'
import { openCheckpoint, signCheckpoint } from './checkpoint.ts'
import { logOrigin, type LogRow } from './log-origin.ts'
import type { LogHead } from './recorded-event.ts'
import type { NoteSigner } from './signed-note.ts'
import { newTile, tileWidth } from './tile.ts'
import type { TreeFront } from './tree-front.ts'

/** What is signed, and by whom. */
export interface SignedHead {
  readonly log: LogRow
  readonly head: LogHead
  readonly tree: TreeFront
  readonly signer: NoteSigner
}

interface CheckpointRow {
  readonly size: bigint
  readonly note: string
  readonly root: Buffer | null
}

/** Signs the head of a log and stores the note, with its key and the last tile as far as it is filled. */
export async function signHead(pool: pg.Pool, { log, head, tree, signer }: SignedHead): Promise<string> {
  const origin = logOrigin(log)
  if (signer.verifier.name !== origin) {
    throw new Error(`Cannot sign the log "${origin}": the signing key is that of "${signer.verifier.name}"`)
  }
  const size = head.position + 1n
  const last = await readNewest(pool)
  if (last !== null) {
    checkContinues(last, { size, signer })
    if (last.size === size) return last.note
  }
  const note = signCheckpoint({ origin, size, root: head.root, extensions: [] }, [signer])
  const row = Buffer.concat(tree.front[0] ?? [])
  const tile = row.length === 0 ? null : newTile(0, size / BigInt(tileWidth), row)
  // one statement: the checkpoint never stands without what belongs to it
  await pool.query(
    `with key as (insert into log_key (verifier_key, first_size) values ($1::text, $2::int8) on conflict do nothing),
      tile as (insert into tile (level, n, width, hashes, root)
        select 0, $4::int8, $5::int4, $6::bytea, $7::bytea where $5::int4 is not null on conflict do nothing)
      insert into signed_checkpoint (size, note) values ($2::int8, $3::text) on conflict do nothing`,
    [
      signer.verifier.key,
      size,
      note,
      tile?.n ?? null,
      tile?.width ?? null,
      tile === null ? null : Buffer.from(tile.hashes),
      tile === null ? null : Buffer.from(tile.root),
    ],
  )
  return note
}

async function readNewest(pool: pg.Pool): Promise<CheckpointRow | null> {
  const { rows } = await pool.query<CheckpointRow>(
    `select s.size, s.note, (select root from commit c where c.last_pos = s.size - 1) as root
      from signed_checkpoint s order by s.size desc limit 1`,
  )
  return rows[0] ?? null
}

/** A log must not sign what contradicts what it has signed. */
function checkContinues(
  { size, note, root }: CheckpointRow,
  next: { readonly size: bigint; readonly signer: NoteSigner },
): void {
  if (size > next.size) {
    throw new LogCorruptError(`Cannot sign the log: it has ${next.size} events, a checkpoint was signed over ${size}`)
  }
  const signed = rootIfOwn(note, next.signer)
  if (root !== null && (signed === null || Buffer.compare(signed, root) === 0)) return
  throw new LogCorruptError(`Cannot sign the log: its first ${size} events are not those that were signed before`)
}

/** The root that a note of this very key states; null where another key has signed it. */
function rootIfOwn(note: string, { verifier }: NoteSigner): Uint8Array | null {
  try {
    return openCheckpoint(note, [verifier]).root
  } catch {
    return null
  }
}
