import { type OpenedCheckpoint, openCheckpoint } from './checkpoint.ts'
import { InvalidProofError } from './event-proof.ts'
import { isConsistent } from './merkle-proof.ts'
import type { NoteVerifier } from './signed-note.ts'

/** A proof that one checkpoint of a log continues another: nothing was changed or removed in between. */
export interface ConsistencyText {
  readonly older: string
  readonly newer: string
  readonly path: readonly Uint8Array[]
}

const head = `chronovisor.consistency-proof/v1

That the first checkpoint below is of the beginning of the log that the second one is of is shown by this file alone. To check it:
  chronovisor verify-proof FILE --key KEY
where KEY is the log's verifier key. The hashes are those of RFC 6962 section 2.1.2.

`

const mark = /\n\n(?=chronovisor\.checkpoint\n)/g
const part = 'chronovisor.checkpoint\n'

/** Whether a text begins like one of these. */
export function isConsistencyText(text: string): boolean {
  return text.startsWith(head.slice(0, head.indexOf('\n') + 1))
}

/** The text of a proof. */
export function formatConsistency({ older, newer, path }: ConsistencyText): string {
  const hashes = ['path', ...path.map((hash) => Buffer.from(hash).toString('base64'))].join('\n')
  return `${head}${hashes}\n\n${part}${older}\n${part}${newer}`
}

/** Reads a proof and checks it by the keys of the log. Throws {@link InvalidProofError}, InvalidNoteError. */
export function verifyConsistency(
  text: string,
  keys: readonly NoteVerifier[],
): { readonly older: OpenedCheckpoint; readonly newer: OpenedCheckpoint } {
  const parsed = parseConsistency(text)
  if (formatConsistency(parsed) !== text)
    throw new InvalidProofError('The proof does not hold: it is not written as a proof is')
  const [older, newer] = [openCheckpoint(parsed.older, keys), openCheckpoint(parsed.newer, keys)]
  if (older.origin !== newer.origin)
    throw new InvalidProofError('The proof does not hold: its checkpoints are of two logs')
  if (isConsistent(older, newer, parsed.path)) return { older, newer }
  throw new InvalidProofError(
    `The proof does not hold: it does not lead from the checkpoint over ${older.size} events to that over ${newer.size}`,
  )
}

function parseConsistency(text: string): ConsistencyText {
  const [hashes, older, newer, ...rest] = text.startsWith(head) ? text.slice(head.length).split(mark) : []
  if (hashes === undefined || older === undefined || newer === undefined || rest.length > 0) {
    throw new InvalidProofError('The proof does not hold: it has not the parts of one')
  }
  return {
    older: `${older.slice(part.length)}\n`,
    newer: newer.slice(part.length),
    path: hashes
      .split('\n')
      .slice(1)
      .map((hash) => Buffer.from(hash, 'base64')),
  }
}
