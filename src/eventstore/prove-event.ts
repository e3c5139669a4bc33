import type { ClientBase } from 'pg'
import { type Checkpoint, openCheckpoint, parseCheckpoint } from './checkpoint.ts'
import { eventLeaf } from './event-leaf.ts'
import type { EventProof } from './event-proof.ts'
import type { LogReader } from './log-reader.ts'
import { consistencyProof, inclusionProof, type SubtreeHash } from './merkle-proof.ts'
import type { RecordedEvent } from './recorded-event.ts'
import { sha256 } from './sha256.ts'
import { type NoteVerifier, parseNote, parseVerifierKey } from './signed-note.ts'
import { subtreesOf, tileWidth } from './tile.ts'

/** Where proofs are made from: a connection to the log's database, and a reader of its events. */
export interface ProofSource {
  readonly client: Pick<ClientBase, 'query'>
  readonly reader: LogReader
}

/** A stored checkpoint with the key of the log that signed it. */
export interface StoredCheckpoint {
  readonly note: string
  readonly checkpoint: Checkpoint
  readonly key: NoteVerifier
}

/** The newest stored checkpoint over at least so many events; null where none was signed yet. */
export async function readCheckpoint(
  client: ProofSource['client'],
  { overAtLeast }: { readonly overAtLeast: bigint },
): Promise<StoredCheckpoint | null> {
  const { rows } = await client.query<{ note: string }>(
    'select note from signed_checkpoint where size >= $1::int8 order by size desc limit 1',
    [overAtLeast],
  )
  const note = rows[0]?.note
  if (note === undefined) return null
  const keys = await readKeys(client)
  const { signedBy } = openCheckpoint(note, keys)
  const [key] = signedBy
  if (key === undefined) return null
  return { note, checkpoint: parseCheckpoint(parseNote(note).text), key }
}

/** The keys that have signed checkpoints of the log, as it says itself. */
export async function readKeys(client: ProofSource['client']): Promise<readonly NoteVerifier[]> {
  const { rows } = await client.query<{ verifier_key: string }>('select verifier_key from log_key order by first_size')
  return rows.map(({ verifier_key: key }) => parseVerifierKey(key))
}

/** Proves an event by a checkpoint over it. With `disclose` its data and meta stand in the proof, else only their hashes. */
export async function proveEvent(
  source: ProofSource,
  {
    event,
    stored,
    disclose,
  }: { readonly event: RecordedEvent; readonly stored: StoredCheckpoint; readonly disclose: boolean },
): Promise<EventProof> {
  const { size } = stored.checkpoint
  const path = await inclusionProof(event.position, { size, subtree: subtreesIn(source, size) })
  const isErased = event.dataHash !== undefined
  return {
    event: {
      ...event,
      dataSha256: event.dataHash ?? sha256(event.data),
      metaSha256: sha256(event.meta),
      data: disclose && !isErased ? event.data : null,
      meta: disclose ? event.meta : null,
    },
    path,
    checkpoint: stored.note,
    key: stored.key.key,
  }
}

/** The hashes that lead from the log at one size to the log at another. */
export async function proveConsistency(
  source: ProofSource,
  { oldSize, newSize }: { readonly oldSize: bigint; readonly newSize: bigint },
): Promise<readonly Uint8Array[]> {
  return await consistencyProof(oldSize, { newSize, subtree: subtreesIn(source, newSize) })
}

/** Hashes of a tree from the stored tiles; what is not in one yet comes from the tiles below, at the bottom from the events. */
function subtreesIn({ client, reader }: ProofSource, size: bigint): SubtreeHash {
  return subtreesOf(size, async (level, n, width) => {
    const full = await client.query<{ hashes: Buffer }>(
      'select hashes from tile where level = $1::int4 and n = $2::int8 and width >= $3::int4 order by width desc limit 1',
      [level, n, width],
    )
    const stored = full.rows[0]
    if (stored !== undefined) return stored.hashes
    const from = n * BigInt(tileWidth)
    const hashes = level === 0 ? await leaves(reader, { from, width }) : await roots(client, { level, from, width })
    if (hashes.length === width) return Buffer.concat(hashes)
    throw new Error(`Cannot make the proof: tile ${level}/${n} is missing; \`chronovisor verify\` says what else is`)
  })
}

interface Span {
  readonly from: bigint
  readonly width: number
}

async function leaves(reader: LogReader, { from, width }: Span): Promise<readonly Uint8Array[]> {
  return (await Array.fromAsync(reader.readAll({ from, maxCount: width }))).map(eventLeaf)
}

async function roots(
  client: ProofSource['client'],
  { level, from, width }: Span & { readonly level: number },
): Promise<readonly Uint8Array[]> {
  const { rows } = await client.query<{ root: Buffer }>(
    'select root from tile where level = $1::int4 and n >= $2::int8 and n < $3::int8 and width = $4::int4 order by n',
    [level - 1, from, from + BigInt(width), tileWidth],
  )
  return rows.map(({ root }) => root)
}
