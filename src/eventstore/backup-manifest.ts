import { hash } from 'node:crypto'
import * as v from 'valibot'
import { backupFormat } from './backup-file.ts'
import { backupKinds, type BackupKindName } from './backup-kinds.ts'
import { appendLeaves, emptyTree, treeRoot } from './tree-edge.ts'

/** The file that makes the others a backup; written last. */
export const manifestName = 'manifest.json'
const longestManifestBytes = 256 << 20

const decimal = v.pipe(
  v.string(),
  v.regex(/^(0|-1|[1-9]\d{0,18})$/),
  v.transform((text) => BigInt(text)),
)
const hex32 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
const uuid = v.pipe(v.string(), v.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/))
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const kindNames = backupKinds.map(({ name }) => name)

const fileSchema = v.strictObject({
  name: v.pipe(v.string(), v.regex(/^[a-z]+-\d+-\d+-[0-9a-f]{16}\.segment$/)),
  kind: v.picklist(kindNames),
  first: decimal,
  last: decimal,
  rows: count,
  sizeBytes: count,
  sha256: hex32,
  tree: v.exactOptional(hex32),
})

const manifestSchema = v.strictObject({
  format: v.literal(backupFormat),
  program: v.string(),
  madeAtUs: decimal,
  segmentRows: v.pipe(count, v.minValue(1)),
  log: v.strictObject({
    logId: uuid,
    hostId: uuid,
    createdAtUs: decimal,
    format: count,
    partitionEvents: decimal,
  }),
  head: v.strictObject({ commitNo: decimal, position: decimal, recordedAtUs: decimal, epoch: count, root: hex32 }),
  migrations: v.array(v.strictObject({ number: count, name: v.string(), sha256: hex32 })),
  checkpoint: v.nullable(v.string()),
  notHere: v.array(v.string()),
  files: v.array(fileSchema),
})

/** A file of a backup, as the manifest has it: keys and rows in it; `tree`: RFC 6962 root over the leaves of its events alone. */
export type BackupFile = v.InferOutput<typeof fileSchema>

/** What a backup is. `checkpoint` is the newest signed note of the log up to its head, null where none was signed. */
export type BackupManifest = v.InferOutput<typeof manifestSchema>

/** The manifest cannot be believed: the message says what is wrong with it. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError'
}

/** The name of a file: what is in it, and the beginning of its SHA-256, so that no two different files have one name. */
export function backupFileName(kind: BackupKindName, file: Pick<BackupFile, 'first' | 'last' | 'sha256'>): string {
  const key = (value: bigint): string => String(value).padStart(19, '0')
  return `${kind}-${key(file.first)}-${key(file.last)}-${file.sha256.slice(0, 16)}.segment`
}

/** The manifest as a JSON text that ends with the SHA-256 of what stands before it. */
export function encodeManifest(manifest: BackupManifest): string {
  const plain = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)
  const body = JSON.stringify(manifest, plain, 1).replace(/\n\}$/, ',\n')
  return `${body} "sha256": "${hash('sha256', body)}"\n}\n`
}

/** Reads {@link encodeManifest}. Throws {@link ManifestError}. */
export function decodeManifest(bytes: Uint8Array): BackupManifest {
  if (bytes.length > longestManifestBytes) throw new ManifestError(`it has ${bytes.length} bytes`)
  const text = Buffer.from(bytes).toString('latin1')
  const match = /^(.*\n) "sha256": "([0-9a-f]{64})"\n\}\n$/s.exec(text)
  const body = Buffer.from(match?.[1] ?? '', 'latin1')
  if (match === null) throw new ManifestError('it does not end with its own SHA-256: it was cut off or changed')
  if (hash('sha256', body) !== match[2]) throw new ManifestError('its SHA-256 is another one: it was changed')
  const { sha256: _sha256, ...rest } = v.parse(v.looseObject({}), JSON.parse(Buffer.from(bytes).toString('utf8')))
  const format = v.safeParse(v.looseObject({ format: v.number() }), rest)
  if (format.success && format.output.format > backupFormat) {
    throw new ManifestError(
      `its format is ${format.output.format}, this program reads up to ${backupFormat}: a newer program made it`,
    )
  }
  const parsed = v.safeParse(manifestSchema, rest)
  if (parsed.success) return parsed.output
  const [issue] = parsed.issues
  throw new ManifestError(`${v.getDotPath(issue) ?? 'it'}: ${issue.message}`)
}

/**
 * Says what does not fit together in a manifest whose text is whole: the segments of events must follow each other from 0 to the head,
 * and their trees must give its root. None: it fits.
 */
export function manifestFaults({ files, head, segmentRows }: BackupManifest): readonly string[] {
  const faults: string[] = []
  let next = 0n
  let full = emptyTree
  let partial: Uint8Array | null = null
  for (const { name, first, last, rows, tree } of files.filter(({ kind }) => kind === 'events')) {
    if (first !== next) faults.push(missingRange(next, first - 1n))
    if (BigInt(rows) !== last - first + 1n || tree === undefined) faults.push(`${name} does not say what it holds`)
    next = last + 1n
    const leaf = Buffer.from(tree ?? '', 'hex')
    if (rows === segmentRows) full = appendLeaves(full, [leaf])
    else partial = leaf
  }
  if (next !== head.position + 1n) faults.push(missingRange(next, head.position))
  if (faults.length > 0) return faults
  const root = treeRoot({ size: full.size, hashes: partial === null ? full.hashes : [...full.hashes, partial] })
  const fits = Buffer.from(root).toString('hex') === head.root
  return fits ? [] : [`the trees of its segments do not give the root of commit ${head.commitNo}`]
}

function missingRange(from: bigint, to: bigint): string {
  return from <= to
    ? `no segment has positions ${from} to ${to}`
    : `positions ${to + 1n} to ${from - 1n} stand in it twice`
}
