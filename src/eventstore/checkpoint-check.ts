import { type OpenedCheckpoint, openCheckpoint } from './checkpoint.ts'
import type { LogFindings } from './log-finding.ts'
import { logOrigin, type LogRow } from './log-origin.ts'
import { fieldsOf, type LogSource } from './log-tables.ts'
import { type NoteVerifier, parseVerifierKey } from './signed-note.ts'

interface KnownKey {
  readonly verifier: NoteVerifier
  readonly firstSize: bigint
}

/** The signed checkpoints of a log: opened first, compared with the tree while it is recomputed. */
export class CheckpointCheck {
  readonly #findings: LogFindings
  readonly #opened = new Map<bigint, OpenedCheckpoint>()
  readonly #sizes = new Set<bigint>()
  #verified = 0

  private constructor(findings: LogFindings) {
    this.#findings = findings
  }

  /** Reads and opens them by the keys that the log names, or only by the given ones. */
  static async load(
    source: LogSource,
    { findings, trusted }: { readonly findings: LogFindings; readonly trusted: readonly NoteVerifier[] | null },
  ): Promise<CheckpointCheck> {
    const check = new CheckpointCheck(findings)
    const known = await check.#readKeys(source)
    const keys = trusted ?? known.map(({ verifier }) => verifier)
    for await (const page of source.rows('signed_checkpoint') ?? []) for (const row of page) check.#open(row, keys)
    for (const key of known) check.#compareFirstUse(key)
    return check
  }

  /** How many were compared with the tree. */
  get verified(): number {
    return this.#verified
  }

  /** The newest, null where there is none that can be believed. */
  get newest(): OpenedCheckpoint | null {
    return [...this.#opened.values()].at(-1) ?? null
  }

  /** Whether a checkpoint was signed over so many events. */
  isSigned(size: bigint): boolean {
    return this.#sizes.has(size)
  }

  /** The root that was signed for a size; null where none was. */
  signedRoot(size: bigint): Uint8Array | null {
    return this.#opened.get(size)?.root ?? null
  }

  /** Compares the log's own row with what the checkpoints were signed for. False where there is none. */
  compareLog(row: LogRow): boolean {
    const origin = logOrigin(row)
    for (const { origin: signed } of this.#opened.values()) {
      if (signed === origin) continue
      const columns = differingColumns(origin, signed)
      const text = `the log's own row does not fit the checkpoints, which were signed for ${signed}`
      this.#findings.add({ table: 'log', key: row.logId, columns, position: null, text })
      return true
    }
    return this.#opened.size > 0
  }

  /** Compares the one of a size, if any, with the root of the tree at that size. */
  compare(size: bigint, root: () => Uint8Array): void {
    const checkpoint = this.#opened.get(size)
    if (checkpoint === undefined) return
    this.#verified += 1
    this.#opened.delete(size)
    if (Buffer.compare(checkpoint.root, root()) === 0) return
    const text = `the first ${size} events do not give the root of the checkpoint that was signed over them`
    this.#findings.add({ table: 'signed_checkpoint', key: String(size), columns: ['note'], position: size - 1n, text })
  }

  /** Tells of checkpoints that no commit ends at; those before `from` were not compared. */
  finish(from: bigint): void {
    for (const [size] of this.#opened) {
      if (size < from) continue
      const text = `a checkpoint was signed over ${size} events, at which no commit ends: the log is not the one that was signed`
      this.#findings.add({
        table: 'signed_checkpoint',
        key: String(size),
        columns: ['size', 'note'],
        position: null,
        text,
      })
    }
  }

  /** A key stands there since the first checkpoint that it signed. */
  #compareFirstUse({ verifier, firstSize }: KnownKey): void {
    const signed = [...this.#opened.values()].find(({ signedBy }) => signedBy.some(({ key }) => key === verifier.key))
    if (signed === undefined || signed.size === firstSize) return
    const text = `the key "${verifier.key}" has signed since ${signed.size} events, not since ${firstSize}`
    this.#findings.add({ table: 'log_key', key: verifier.key, columns: ['first_size'], position: null, text })
  }

  async #readKeys(source: LogSource): Promise<readonly KnownKey[]> {
    const keys: KnownKey[] = []
    for await (const page of source.rows('log_key') ?? []) {
      for (const row of page) {
        const [name, first] = fieldsOf(row, 2)
        const key = name?.toString() ?? ''
        try {
          keys.push({ verifier: parseVerifierKey(key), firstSize: first?.readBigInt64BE() ?? -1n })
        } catch {
          const text = `"${key}" is not a key that can sign checkpoints`
          this.#findings.add({ table: 'log_key', key, columns: ['verifier_key'], position: null, text })
        }
      }
    }
    return keys
  }

  #open(row: Buffer, keys: readonly NoteVerifier[]): void {
    const [size, note] = fieldsOf(row, 2)
    if (!size || !note) throw new RangeError('a row of table signed_checkpoint has a null')
    const key = size.readBigInt64BE()
    const wrong = (column: string, text: string) =>
      this.#findings.add({ table: 'signed_checkpoint', key: String(key), columns: [column], position: null, text })
    try {
      const checkpoint = openCheckpoint(note.toString(), keys)
      const [extra] = checkpoint.unknownSigners
      if (extra !== undefined) return wrong('note', `checkpoint ${key}: the signature of "${extra}" is by no known key`)
      if (checkpoint.size !== key) wrong('size', `checkpoint ${key} was signed over ${checkpoint.size} events`)
      this.#opened.set(checkpoint.size, checkpoint)
      this.#sizes.add(checkpoint.size)
    } catch (error) {
      wrong('note', `checkpoint ${key}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

const originColumns = ['log_id', 'host_id', 'created_at_us', 'format', 'partition_events']

function differingColumns(origin: string, signed: string): readonly string[] {
  const [own, other] = [origin, signed].map((text) =>
    text
      .split('/')
      .slice(1)
      .flatMap((part) => part.split('.')),
  )
  const columns = originColumns.filter((_, at) => own?.[at] !== other?.[at])
  return columns.length === 0 ? originColumns : columns
}
