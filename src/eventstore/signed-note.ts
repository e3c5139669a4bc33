import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto'
import { sha256 } from './sha256.ts'

/** A note, a key or a signature that is not what C2SP signed-note says, or is not signed by who should have signed it. */
export class InvalidNoteError extends Error {}

/** One signature line: who signed, by which key, and the signature itself. */
export interface NoteSignature {
  readonly name: string
  readonly keyId: number
  readonly signature: Uint8Array
}

/** A signed note taken apart. The text ends in a newline. */
export interface Note {
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

/** A public key that verifies notes. `key` is its text form, `name+id+base64`. */
export interface NoteVerifier {
  readonly key: string
  readonly name: string
  readonly keyId: number
  /** `signature`: of the text itself; `cosignature`: of a checkpoint seen at a time, C2SP tlog-cosignature. */
  readonly kind: 'signature' | 'cosignature'
  verify(text: string, signature: Uint8Array): boolean
}

/** A private key that signs notes. */
export interface NoteSigner {
  readonly verifier: NoteVerifier
  sign(text: string): Uint8Array
}

/** A note whose known signatures were all verified, at least one of them. */
export interface VerifiedNote extends Note {
  readonly verifiedBy: readonly NoteVerifier[]
  /** Signatures by keys that were not given. */
  readonly unknown: readonly NoteSignature[]
}

const maxSignatures = 100
const signatureLine = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/u
const types = { signature: 1, cosignature: 4 } as const
const ed25519Bytes = 64
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex')
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')

/** Takes a note apart without trusting it. Throws {@link InvalidNoteError}. */
export function parseNote(note: string): Note {
  if (!note.isWellFormed() || /\p{Cc}/u.test(note.replaceAll(/[\n\u007f-\u009f]/gu, ''))) {
    throw malformed('it has control characters')
  }
  const split = note.lastIndexOf('\n\n')
  if (split === -1 || !note.endsWith('\n')) throw malformed('it has no signatures behind an empty line')
  const lines = note.slice(split + 2, -1).split('\n')
  if (lines.length > maxSignatures) throw malformed(`it has ${lines.length} signatures, the most is ${maxSignatures}`)
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignature) }
}

/**
 * Verifies a note by the given keys. Throws {@link InvalidNoteError} where one of them did not make the signature that bears its name,
 * or none of them has signed.
 */
export function verifyNote(note: string, verifiers: readonly NoteVerifier[]): VerifiedNote {
  const parsed = parseNote(note)
  const verifiedBy: NoteVerifier[] = []
  const unknown: NoteSignature[] = []
  for (const signature of parsed.signatures) {
    const verifier = verifiers.find(({ name, keyId }) => name === signature.name && keyId === signature.keyId)
    if (verifier === undefined) {
      unknown.push(signature)
      continue
    }
    if (!verifier.verify(parsed.text, signature.signature)) {
      throw new InvalidNoteError(`Cannot trust the note: the signature of "${verifier.key}" does not fit its text`)
    }
    if (!verifiedBy.includes(verifier)) verifiedBy.push(verifier)
  }
  if (verifiedBy.length === 0) {
    const signers = parsed.signatures.map(({ name, keyId }) => `${name}+${hexOf(keyId)}`).join(', ')
    throw new InvalidNoteError(`Cannot trust the note: it is signed by ${signers}, not by a key that is known`)
  }
  return { ...parsed, verifiedBy, unknown }
}

/** Signs a text, which must end in a newline: the note with one signature line for each signer, in their order. */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  const lines = signers.map((signer) => {
    const { name, keyId } = signer.verifier
    return formatSignature({ name, keyId, signature: signer.sign(text) })
  })
  const note = `${text}\n${lines.join('')}`
  if (parseNote(note).text !== text) throw malformed('its text is not one that can be signed')
  return note
}

/** Reads a verifier key, `name+id+base64(type || public key)`, of an Ed25519 signer (0x01) or witness (0x04). */
export function parseVerifierKey(key: string): NoteVerifier {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+(.+)$/u.exec(key)
  const encoded = match?.[3] === undefined ? null : strictBase64(match[3])
  const name = match?.[1]
  if (name === undefined || encoded === null || encoded.length !== 33) {
    throw new InvalidNoteError(`Cannot use the key "${key}": it is not of the form NAME+ID+KEY`)
  }
  const kind = encoded[0] === types.signature ? 'signature' : encoded[0] === types.cosignature ? 'cosignature' : null
  if (kind === null) throw new InvalidNoteError(`Cannot use the key "${key}": it is not an Ed25519 key`)
  const verifier = verifierOf({ name, kind, publicKey: encoded.subarray(1) })
  if (verifier.key !== key)
    throw new InvalidNoteError(`Cannot use the key "${key}": its id is ${hexOf(verifier.keyId)}`)
  return verifier
}

/** Makes a new private key, in the form that {@link parseSignerKey} reads. The name must have neither spaces nor a plus. */
export function newSignerKey(name: string): string {
  const encoded = Buffer.concat([Uint8Array.of(types.signature), randomBytes(32)])
  const key = `PRIVATE+KEY+${name}+${hexOf(signerOf(name, encoded).verifier.keyId)}+${encoded.toString('base64')}`
  parseSignerKey(key)
  return key
}

/** Reads a private key, `PRIVATE+KEY+name+id+base64(type || seed)`. The message of the error does not repeat it. */
export function parseSignerKey(key: string): NoteSigner {
  const match = /^PRIVATE\+KEY\+([^\s+]+)\+([0-9a-f]{8})\+(.+)$/u.exec(key)
  const encoded = match?.[3] === undefined ? null : strictBase64(match[3])
  const name = match?.[1]
  if (name === undefined || encoded?.length !== 33 || encoded[0] !== types.signature) {
    throw new InvalidNoteError('Cannot use the signing key: it is not of the form PRIVATE+KEY+NAME+ID+KEY of Ed25519')
  }
  const signer = signerOf(name, encoded)
  if (hexOf(signer.verifier.keyId) !== match?.[2]) {
    throw new InvalidNoteError(`Cannot use the signing key "${name}": its id is ${hexOf(signer.verifier.keyId)}`)
  }
  return signer
}

/** A witness: signs checkpoints as seen at a time (seconds since 1970), with the seed of a private key. */
export function cosigner(key: string, nowS: () => bigint): NoteSigner {
  const { privateKey, publicKey, name } = keysOf(key)
  const verifier = verifierOf({ name, kind: 'cosignature', publicKey })
  return {
    verifier,
    sign(text) {
      const time = nowS()
      const stamp = Buffer.alloc(8)
      stamp.writeBigUInt64BE(time)
      return Buffer.concat([stamp, sign(null, cosignedMessage(text, time), privateKey)])
    },
  }
}

/** When a cosignature says that it was made, seconds since 1970. */
export function cosignatureTimeS(signature: Uint8Array): bigint {
  return Buffer.from(signature).readBigUInt64BE(0)
}

function parseSignature(line: string): NoteSignature {
  const match = signatureLine.exec(line)
  const bytes = match?.[2] === undefined ? null : strictBase64(match[2])
  const name = match?.[1]
  if (name === undefined || bytes === null || bytes.length < 5) throw malformed(`"${line}" is not a signature line`)
  return { name, keyId: bytes.readUInt32BE(0), signature: bytes.subarray(4) }
}

function formatSignature({ name, keyId, signature }: NoteSignature): string {
  const id = Buffer.alloc(4)
  id.writeUInt32BE(keyId)
  return `\u2014 ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`
}

function verifierOf(from: {
  readonly name: string
  readonly kind: NoteVerifier['kind']
  readonly publicKey: Uint8Array
}): NoteVerifier {
  const { name, kind, publicKey } = from
  const encoded = Buffer.concat([Uint8Array.of(types[kind]), publicKey])
  const keyId = sha256(Buffer.concat([Buffer.from(`${name}\n`), encoded])).readUInt32BE(0)
  const object = createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' })
  return {
    key: `${name}+${hexOf(keyId)}+${encoded.toString('base64')}`,
    name,
    keyId,
    kind,
    verify: (text, signature) =>
      kind === 'signature'
        ? signature.length === ed25519Bytes && verify(null, Buffer.from(text), object, signature)
        : verifyCosignature({ text, signature, object }),
  }
}

function verifyCosignature(given: { text: string; signature: Uint8Array; object: KeyObject }): boolean {
  const { text, signature, object } = given
  if (signature.length !== 8 + ed25519Bytes) return false
  const time = cosignatureTimeS(signature)
  return time < 2n ** 63n && verify(null, cosignedMessage(text, time), object, signature.subarray(8))
}

function cosignedMessage(text: string, timeS: bigint): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${timeS}\n${text}`)
}

function signerOf(name: string, encoded: Uint8Array): NoteSigner {
  const { privateKey, publicKey } = keyPair(encoded.subarray(1))
  const verifier = verifierOf({ name, kind: 'signature', publicKey })
  return { verifier, sign: (text) => sign(null, Buffer.from(text), privateKey) }
}

function keysOf(key: string): { privateKey: KeyObject; publicKey: Uint8Array; name: string } {
  const { verifier } = parseSignerKey(key)
  const encoded = strictBase64(key.slice(key.lastIndexOf(hexOf(verifier.keyId)) + 9)) ?? Buffer.alloc(0)
  return { ...keyPair(encoded.subarray(1)), name: verifier.name }
}

function keyPair(seed: Uint8Array): { privateKey: KeyObject; publicKey: Uint8Array } {
  const privateKey = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: 'der', type: 'pkcs8' })
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  return { privateKey, publicKey: spki.subarray(spkiPrefix.length) }
}

/** Base64 that is exactly what encoding its bytes gives; null otherwise. */
function strictBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : null
}

function hexOf(keyId: number): string {
  return keyId.toString(16).padStart(8, '0')
}

function malformed(why: string): InvalidNoteError {
  return new InvalidNoteError(`Cannot read the note: ${why}`)
}
