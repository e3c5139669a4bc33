import { InvalidNoteError, type NoteSigner, type NoteVerifier, signNote, verifyNote } from './signed-note.ts'

/** What a log states of itself: the RFC 6962 root of its first `size` events (C2SP tlog-checkpoint). */
export interface Checkpoint {
  readonly origin: string
  readonly size: bigint
  readonly root: Uint8Array
  /** Further lines, opaque; this log writes none. */
  readonly extensions: readonly string[]
}

/** A checkpoint that was signed by a known key. */
export interface OpenedCheckpoint extends Checkpoint {
  readonly note: string
  readonly signedBy: readonly NoteVerifier[]
  /** Names of keys that signed too, but were not given. */
  readonly unknownSigners: readonly string[]
}

/** The text of a checkpoint, to be signed. */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  return [origin, String(size), Buffer.from(root).toString('base64'), ...extensions].map((line) => `${line}\n`).join('')
}

/** Reads the text of a checkpoint, which nobody needs to have signed. Throws {@link InvalidNoteError}. */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin, size, root, ...extensions] = text.split('\n').slice(0, -1)
  if (origin === undefined || size === undefined || root === undefined || origin === '' || !text.endsWith('\n')) {
    throw new InvalidNoteError('Cannot read the checkpoint: it has not the lines of one')
  }
  if (!/^(?:0|[1-9][0-9]{0,18})$/.test(size)) {
    throw new InvalidNoteError(`Cannot read the checkpoint: "${size}" is not a number of events`)
  }
  const bytes = Buffer.from(root, 'base64')
  if (bytes.length !== 32 || bytes.toString('base64') !== root) {
    throw new InvalidNoteError(`Cannot read the checkpoint: "${root}" is not a SHA-256 in base64`)
  }
  if (extensions.includes('')) throw new InvalidNoteError('Cannot read the checkpoint: it has an empty line')
  return { origin, size: BigInt(size), root: bytes, extensions }
}

/** The signed note of a checkpoint. */
export function signCheckpoint(checkpoint: Checkpoint, signers: readonly NoteSigner[]): string {
  const text = formatCheckpoint(checkpoint)
  parseCheckpoint(text)
  return signNote(text, signers)
}

/**
 * Opens a signed checkpoint: all signatures of given keys fit, and at least one key that signs for the log (not a witness) has signed.
 * Throws {@link InvalidNoteError}.
 */
export function openCheckpoint(note: string, verifiers: readonly NoteVerifier[]): OpenedCheckpoint {
  const { text, verifiedBy, unknown } = verifyNote(note, verifiers)
  if (!verifiedBy.some(({ kind }) => kind === 'signature')) {
    throw new InvalidNoteError('Cannot trust the checkpoint: only witnesses have signed it, not the log')
  }
  return { ...parseCheckpoint(text), note, signedBy: verifiedBy, unknownSigners: unknown.map(({ name }) => name) }
}
