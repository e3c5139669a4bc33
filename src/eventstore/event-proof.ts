import { type OpenedCheckpoint, openCheckpoint } from './checkpoint.ts'
import { commitPart, leafInto, streamPart, typePart } from './leaf-writer.ts'
import { rootOfInclusion } from './merkle-proof.ts'
import { sha256, sha256Bytes } from './sha256.ts'
import { type NoteVerifier, parseVerifierKey } from './signed-note.ts'

/** An event as a proof states it. Hashes stand for data and meta; these themselves are there where they are disclosed. */
export interface ProvenEvent {
  readonly position: bigint
  readonly stream: string
  readonly revision: bigint
  readonly type: string
  readonly schema: number
  readonly eventId: string
  readonly commitNo: bigint
  readonly epoch: number
  readonly recordedAtUs: bigint
  readonly dataSha256: Uint8Array
  readonly metaSha256: Uint8Array
  readonly data: Uint8Array | null
  readonly meta: Uint8Array | null
}

/** A proof that an event stands in a log: the event, the audit path of its leaf, and a signed checkpoint whose root that leads to. */
export interface EventProof {
  readonly event: ProvenEvent
  readonly path: readonly Uint8Array[]
  /** The signed note. */
  readonly checkpoint: string
  /** The key of the log, as the proof itself states it: worth as much as where the proof came from. */
  readonly key: string
}

/** A proof that holds, and by whose word. */
export interface VerifiedProof {
  readonly proof: EventProof
  readonly checkpoint: OpenedCheckpoint
}

/** A proof that proves nothing: the message says why. */
export class InvalidProofError extends Error {
  override readonly name = 'InvalidProofError'
}

const head = `chronovisor.event-proof/v1

That this event stands in the log of the key below is shown by this file alone. To check it:
  chronovisor verify-proof FILE --key KEY
where KEY is the log's verifier key as it was given to you by somebody you trust, not as it stands here.
The leaf of the event is SHA-256(0x00, position u64, stream, revision u64, type, schema u32, event 16 bytes, commit u64,
epoch u32, recorded u64, data-sha256, meta-sha256), numbers big-endian, names as UTF-8 behind their length as u32, recorded
in microseconds since 1970. What follows the last empty line but two is a C2SP tlog-proof: index and path of that leaf, and
the signed checkpoint.

`

const proofMark = 'c2sp.org/tlog-proof@v1'
const none = '-'

/** The text of a proof. */
export function formatEventProof({ event, path, checkpoint, key }: EventProof): string {
  const fields: Readonly<Record<string, string>> = {
    key,
    position: String(event.position),
    stream: JSON.stringify(event.stream),
    revision: String(event.revision),
    type: JSON.stringify(event.type),
    schema: String(event.schema),
    event: event.eventId,
    commit: String(event.commitNo),
    epoch: String(event.epoch),
    recorded: String(event.recordedAtUs),
    'data-sha256': Buffer.from(event.dataSha256).toString('hex'),
    'meta-sha256': Buffer.from(event.metaSha256).toString('hex'),
    data: textOf(event.data),
    meta: textOf(event.meta),
  }
  const lines = Object.entries(fields).map(([name, value]) => `${name} ${value}`)
  const hashes = path.map((hash) => Buffer.from(hash).toString('base64'))
  const proof = [proofMark, `index ${event.position}`, ...hashes]
  return `${head}${lines.join('\n')}\n\n${proof.join('\n')}\n\n${checkpoint}`
}

/**
 * Reads a proof and checks it: every character of it is as {@link formatEventProof} writes it, disclosed data and meta have their
 * hashes, and the leaf leads to the root of a checkpoint that one of the keys of the log has signed; signatures of the given witnesses
 * must fit, too. Without keys: the one that the proof states of itself. Throws {@link InvalidProofError}, InvalidNoteError.
 */
export function verifyEventProof(
  text: string,
  {
    keys,
    witnesses = [],
  }: { readonly keys: readonly NoteVerifier[] | null; readonly witnesses?: readonly NoteVerifier[] },
): VerifiedProof {
  const proof = parseEventProof(text)
  if (formatEventProof(proof) !== text) throw wrong('it is not written as a proof is')
  const own = parseVerifierKey(proof.key)
  if (own.kind !== 'signature') throw wrong('the key that it states is not one of a log')
  const checkpoint = openCheckpoint(proof.checkpoint, [...(keys ?? [own]), ...witnesses])
  if (keys !== null && !keys.some(({ key }) => key === proof.key))
    throw wrong(`it states the key "${proof.key}", which is not the given one`)
  if (own.name !== checkpoint.origin)
    throw wrong(`its checkpoint is of "${checkpoint.origin}", its key of "${own.name}"`)
  const { event, path } = proof
  for (const [what, bytes, hash] of [
    ['data', event.data, event.dataSha256],
    ['meta', event.meta, event.metaSha256],
  ] as const) {
    if (bytes !== null && Buffer.compare(sha256(bytes), hash) !== 0)
      throw wrong(`its ${what} has not the hash that it states`)
  }
  const root = rootOfInclusion(leafOf(event), { index: event.position, size: checkpoint.size, path })
  if (root === null || Buffer.compare(root, checkpoint.root) !== 0) {
    throw wrong(`the event does not lead to the root of the checkpoint over ${checkpoint.size} events`)
  }
  return { proof, checkpoint }
}

/** The leaf hash of an event as a proof states it. */
export function leafOf(event: ProvenEvent): Uint8Array {
  const position = Buffer.alloc(8)
  const revision = Buffer.alloc(8)
  position.writeBigUInt64BE(event.position)
  revision.writeBigUInt64BE(event.revision)
  const leaf = Buffer.alloc(sha256Bytes)
  leafInto(leaf, 0, {
    position,
    stream: streamPart(Buffer.from(event.stream)),
    revision,
    type: typePart(Buffer.from(event.type), event.schema),
    eventId: Buffer.from(event.eventId.replaceAll('-', ''), 'hex'),
    commit: commitPart(event.commitNo, event.epoch, event.recordedAtUs),
    data: { sha256: event.dataSha256 },
    meta: { sha256: event.metaSha256 },
  })
  return leaf
}

function parseEventProof(text: string): EventProof {
  if (!text.startsWith(head)) throw wrong('it does not begin as one')
  const [fields = '', proof = '', ...rest] = text.slice(head.length).split('\n\n')
  const value = fieldReader(fields)
  const [mark, , ...hashes] = proof.split('\n')
  if (mark !== proofMark || rest.length === 0) throw wrong('it has no path')
  return {
    key: value('key'),
    event: {
      position: number(value('position')),
      stream: jsonText(value('stream')),
      revision: number(value('revision')),
      type: jsonText(value('type')),
      schema: Number(number(value('schema'), 2n ** 31n)),
      eventId: uuid(value('event')),
      commitNo: number(value('commit')),
      epoch: Number(number(value('epoch'), 2n ** 31n)),
      recordedAtUs: number(value('recorded')),
      dataSha256: Buffer.from(value('data-sha256'), 'hex'),
      metaSha256: Buffer.from(value('meta-sha256'), 'hex'),
      data: bytesOf(value('data')),
      meta: bytesOf(value('meta')),
    },
    path: hashes.map((hash) => Buffer.from(hash, 'base64')),
    checkpoint: rest.join('\n\n'),
  }
}

function fieldReader(text: string): (name: string) => string {
  const fields = new Map(
    text.split('\n').map((line): readonly [string, string] => {
      const space = line.indexOf(' ')
      return [line.slice(0, space), line.slice(space + 1)]
    }),
  )
  return (name) => {
    const value = fields.get(name)
    if (value === undefined) throw wrong(`it does not say its ${name}`)
    return value
  }
}

function number(text: string, below = 2n ** 63n): bigint {
  if (!/^(?:0|[1-9][0-9]{0,18})$/.test(text) || BigInt(text) >= below)
    throw wrong(`"${text}" is not a number in its place`)
  return BigInt(text)
}

function uuid(text: string): string {
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)) throw wrong(`"${text}" is not the id of an event`)
  return text
}

function jsonText(text: string): string {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'string') return value
  } catch {
    throw wrong(`${text} is not a name`)
  }
  throw wrong(`${text} is not a name`)
}

function textOf(bytes: Uint8Array | null): string {
  return bytes === null ? none : Buffer.from(bytes).toString('base64')
}

function bytesOf(text: string): Uint8Array | null {
  return text === none ? null : Buffer.from(text, 'base64')
}

function wrong(why: string): InvalidProofError {
  return new InvalidProofError(`The proof does not hold: ${why}`)
}
