import pg from 'pg'
import { DatabaseSource, SourceConnections } from '../../src/eventstore/database-source.ts'
import { logOrigin } from '../../src/eventstore/log-origin.ts'
import { type LogTable, logTables } from '../../src/eventstore/log-tables.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { newSignerKey, parseSignerKey } from '../../src/eventstore/signed-note.ts'
import { verifyLog, type VerifyReport } from '../../src/eventstore/verify-log.ts'
import { blobOf } from '../../src/eventstore/blob-of.ts'
import { newEvent, openLog, write } from './log-kit.ts'

/** A single bit that was flipped: where, and what verification must say. */
export interface Mutation {
  readonly table: LogTable
  readonly column: string
  readonly key: string
  readonly bit: number
}

/** What verification said of a mutation. `located`: the first finding names its table, its row and its column. */
export interface Verdict {
  readonly mutation: Mutation
  readonly found: boolean
  readonly located: boolean
  /** Columns that the first finding leaves as possible. */
  readonly columns: number
  readonly report: VerifyReport
}

/** Tables whose every column is mutated. */
export const mutatedTables = [
  'log',
  'commit',
  'stream',
  'event_type',
  'category',
  'event',
  'blob',
  'tile',
  'signed_checkpoint',
  'log_key',
] as const satisfies readonly LogTable[]

interface Candidate {
  readonly table: LogTable
  readonly column: string
  readonly type: string
}

const wordsPerText = 400

/** Numbers from a seed: the same for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Fills a log with everything that a mutation can hit: several tiles, streams, types, big texts, an erased event, checkpoints. */
export async function fillLog(address: PostgresAddress, { events }: { readonly events: number }): Promise<void> {
  await using log = await openLog(address)
  const signer = parseSignerKey(newSignerKey(logOrigin(log.log)))
  const categories = ['account', 'domain', 'note', 'order']
  let appended = 0
  for (let commit = 0; appended < events; commit += 1) {
    const count = Math.min(events - appended, commit % 7 === 0 ? 40 : 1 + (commit % 5))
    const writes = Array.from({ length: count }, (_, at) => {
      const n = appended + at
      const stream = `${categories[n % categories.length]}-${(n * n) % 97}`
      const isNote = n % 60 === 0
      const blob = blobOf(`big text ${n} `.repeat(wordsPerText))
      const data = { n, note: 'x'.repeat((n * 13) % 300), ...(isNote ? { textSha256: blob.sha256 } : {}) }
      const meta = JSON.stringify({ actor: { uid: n % 5, program: 'test' }, reason: null })
      const event = newEvent(isNote ? 'TextNoted' : `Type${n % 6}Recorded`, data, { meta })
      return write(stream, [event], isNote ? { blobs: [blob] } : {})
    })
    await log.append(writes)
    appended += count
    if (commit % 100 === 99) await log.signCheckpoint(signer)
    if (commit % 12 === 11) await erase(log, BigInt(appended - 1))
  }
  await log.signCheckpoint(signer)
}

async function erase(log: EventStore, position: bigint): Promise<void> {
  const plan = await log.planErasure(position)
  if (plan !== null) await log.append([write('node-test', [newEvent('PayloadErased', { ...plan, reason: 'test' })])])
}

/** The hashes by which events of {@link fillLog} name big texts. */
export function noteTexts(type: string, data: Uint8Array): readonly string[] {
  if (type !== 'TextNoted') return []
  const match = /"textSha256":"([0-9a-f]{64})"/.exec(Buffer.from(data).toString('latin1'))
  return match?.[1] === undefined ? [] : [match[1]]
}

/**
 * A filled log without the constraints, triggers and partitions that would refuse most mutations: what somebody finds who writes to the
 * files of the database, or a disk that forgets.
 */
export class TamperedLog implements AsyncDisposable {
  readonly #connections: SourceConnections
  readonly #client: pg.Client
  readonly #candidates: readonly Candidate[]
  readonly #counts = new Map<LogTable, number>()

  private constructor(address: PostgresAddress, about: { client: pg.Client; candidates: readonly Candidate[] }) {
    this.#connections = new SourceConnections(address)
    this.#client = about.client
    this.#candidates = about.candidates
  }

  static async open(address: PostgresAddress): Promise<TamperedLog> {
    const client = new pg.Client({ ...address, connectionTimeoutMillis: 5_000 })
    await client.connect()
    await client.query('set synchronous_commit = off')
    const candidates: Candidate[] = []
    for (const table of mutatedTables) {
      const { key, columns } = logTables[table]
      await client.query(`create table plain as select row_number() over (order by ${key}) - 1 as nth, * from ${table}`)
      await client.query(`drop table ${table} cascade`)
      await client.query(`alter table plain rename to ${table}`)
      await client.query(`create index on ${table} (${key})`)
      await client.query(`create index on ${table} (nth)`)
      await client.query(`analyze ${table}`)
      const { rows } = await client.query<{ name: string; type: string }>(
        `select attname as name, atttypid::regtype::text as type from pg_attribute where attrelid = $1::text::regclass and attnum > 0`,
        [table],
      )
      for (const { name, type } of rows)
        if (columns.some((column) => column === name)) candidates.push({ table, column: name, type })
    }
    const log = new TamperedLog(address, { client, candidates })
    for (const table of mutatedTables) {
      const { rows } = await client.query<{ count: string }>(`select count(*) from ${table}`)
      log.#counts.set(table, Number(rows[0]?.count ?? 0))
    }
    return log
  }

  /** Columns that are mutated. */
  get columns(): readonly Candidate[] {
    return this.#candidates
  }

  /** Verifies the log as it is. */
  async verify(): Promise<VerifyReport> {
    await using source = await DatabaseSource.open(this.#connections)
    return await verifyLog(source, { blobNames: noteTexts })
  }

  /** Flips one bit of a column of some row, verifies, and flips it back. Null where the row has no value there, or no text would be left. */
  async mutate({ table, column, type }: Candidate, random: () => number): Promise<Verdict | null> {
    const from = Math.floor(random() * (this.#counts.get(table) ?? 0))
    const { rows } = await this.#client.query<{ nth: string; value: Buffer; key: string }>(
      `select nth, ${sendOf(type)}(${column}) as value, ${keyOf(table)} as key from ${table} where ${column} is not null
        order by nth < $1, nth limit 1`,
      [from],
    )
    const [row] = rows
    if (row === undefined || row.value.length === 0) return null
    const { value } = row
    const nth = Number(row.nth)
    const bit = Math.floor(random() * value.length * 8)
    const flipped = Buffer.from(value)
    flipped[bit >> 3] = (value[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    if (type === 'text' && !isText(flipped)) return null
    const mutation = { table, column, key: row.key, bit }
    await this.#write({ table, column, type }, { nth, value: flipped })
    try {
      const report = await this.verify()
      const [first] = report.findings
      const located = first !== undefined && (await this.#names(first, { mutation, nth }))
      return { mutation, found: report.count > 0, located, columns: first?.columns.length ?? 0, report }
    } finally {
      await this.#write({ table, column, type }, { nth, value })
    }
  }

  async vacuum(): Promise<void> {
    for (const table of mutatedTables) await this.#client.query(`vacuum ${table}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections[Symbol.asyncDispose]()
    await this.#client.end()
  }

  async #write({ table, column, type }: Candidate, { nth, value }: { nth: number; value: Buffer }): Promise<void> {
    await this.#client.query(`update ${table} set ${column} = ${valueOf(type)} where nth = $1`, [
      nth,
      parameterOf(type, value),
    ])
  }

  /** The row is named by its key as it was, or as it is now where the key itself was changed. */
  async #names(
    finding: { readonly table: string; readonly key: string; readonly columns: readonly string[] },
    { mutation, nth }: { readonly mutation: Mutation; readonly nth: number },
  ): Promise<boolean> {
    const { table, column, key } = mutation
    const { rows } = await this.#client.query<{ key: string }>(
      `select ${keyOf(table)} as key from ${table} where nth = $1`,
      [nth],
    )
    const keys = [key, rows[0]?.key]
    return finding.table === table && keys.includes(finding.key) && finding.columns.includes(column)
  }
}

function keyOf(table: LogTable): string {
  if (table === 'tile') return `level || '/' || n`
  if (table === 'blob') return `encode(sha256, 'hex')`
  return `${logTables[table].key}::text`
}

function sendOf(type: string): string {
  switch (type) {
    case 'bigint':
      return 'int8send'
    case 'integer':
      return 'int4send'
    case 'uuid':
      return 'uuid_send'
    case 'text':
      return 'textsend'
    default:
      return ''
  }
}

function valueOf(type: string): string {
  return type === 'text' ? `convert_from($2::bytea, 'UTF8')` : `$2::${type}`
}

function parameterOf(type: string, value: Buffer): string | Buffer {
  switch (type) {
    case 'bigint':
      return String(value.readBigInt64BE())
    case 'integer':
      return String(value.readInt32BE())
    case 'uuid':
      return value.toString('hex')
    default:
      return value
  }
}

function isText(bytes: Buffer): boolean {
  try {
    return !new TextDecoder('utf-8', { fatal: true }).decode(bytes).includes('\0')
  } catch {
    return false
  }
}
