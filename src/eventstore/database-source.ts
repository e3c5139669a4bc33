import pg from 'pg'
import { copyStream } from './copy-stream.ts'
import { type LogSource, type LogTable, logTables } from './log-tables.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { clientConfig } from './postgres-client.ts'

const begin = 'begin isolation level repeatable read read only'

/** Connections for reading whole tables, kept for the next reader. */
export class SourceConnections implements AsyncDisposable {
  readonly #address: PostgresAddress
  readonly #idle: pg.Client[] = []

  constructor(address: PostgresAddress) {
    this.#address = address
  }

  /** A connection in which nothing is begun. */
  async take(): Promise<pg.Client> {
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    // Rows are wanted in the order of a key that has an index, and soon: never sorted first.
    const config = clientConfig(this.#address, 'chronovisor verify')
    const options = `${config.options ?? ''} -c enable_seqscan=off -c enable_sort=off -c jit=off -c statement_timeout=0`
    const client = new pg.Client({ ...config, options })
    client.on('error', () => undefined) // a query in flight rejects
    await client.connect()
    return client
  }

  /** Takes back a connection whose last query has ended; what it began is over. */
  async give(client: pg.Client): Promise<void> {
    try {
      await client.query('rollback')
      this.#idle.push(client)
    } catch {
      client.connection.stream.destroy()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((client) => client.end().catch(() => undefined)))
  }
}

/** The rows of a log in its database, all as of one moment, beside whoever writes on. */
export class DatabaseSource implements LogSource, AsyncDisposable {
  readonly #connections: SourceConnections
  readonly #isOwner: boolean
  readonly #first: pg.Client
  readonly #snapshot: string
  /** Tables that are there: a log of an earlier version has not all. */
  readonly #tables: ReadonlySet<string>
  readonly #idle: pg.Client[] = []
  readonly #busy = new Set<pg.Client>()

  private constructor(from: {
    readonly connections: SourceConnections
    readonly isOwner: boolean
    readonly first: pg.Client
    readonly snapshot: string
    readonly tables: ReadonlySet<string>
  }) {
    this.#connections = from.connections
    this.#isOwner = from.isOwner
    this.#first = from.first
    this.#snapshot = from.snapshot
    this.#tables = from.tables
  }

  /** Opens the log as it is now; on given connections, which stay open, or on its own. */
  static async open(from: PostgresAddress | SourceConnections): Promise<DatabaseSource> {
    const isOwner = !(from instanceof SourceConnections)
    const connections = isOwner ? new SourceConnections(from) : from
    const first = await connections.take()
    try {
      await first.query(begin)
      const { rows } = await first.query<{ snapshot: string }>('select pg_export_snapshot() as snapshot')
      const found = await first.query<{ name: string }>(
        'select t.name from unnest($1::text[]) as t (name) where to_regclass(t.name) is not null',
        [Object.keys(logTables)],
      )
      const tables = new Set(found.rows.map(({ name }) => name))
      return new DatabaseSource({ connections, isOwner, first, snapshot: rows[0]?.snapshot ?? '', tables })
    } catch (error) {
      first.connection.stream.destroy()
      throw error
    }
  }

  /** A connection of the same moment, for questions beside the rows. */
  get client(): pg.ClientBase {
    return this.#first
  }

  /** How many events the log says that it has. */
  async eventCount(): Promise<bigint> {
    const text = 'select coalesce(max(last_pos), -1) + 1 as events from commit'
    const { rows } = await this.#first.query<{ events: bigint }>(text)
    return rows[0]?.events ?? 0n
  }

  rows(table: LogTable, from?: bigint): AsyncIterable<readonly Buffer[]> | null {
    if (!this.#tables.has(table)) return null
    const { key, columns } = logTables[table]
    const where = from === undefined ? '' : ` where ${columns[0]} >= ${from}`
    return this.#copy(`select ${columns.join(', ')} from ${table}${where} order by ${key}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#busy) client.connection.stream.destroy()
    for (const client of [this.#first, ...this.#idle.splice(0)]) await this.#connections.give(client)
    if (this.#isOwner) await this.#connections[Symbol.asyncDispose]()
  }

  async *#copy(select: string): AsyncGenerator<readonly Buffer[], void> {
    const client = this.#idle.pop() ?? (await this.#join())
    this.#busy.add(client)
    let isWhole = false
    try {
      yield* copyStream(client, select)
      isWhole = true
    } finally {
      this.#busy.delete(client)
      if (isWhole) this.#idle.push(client)
      else client.connection.stream.destroy()
    }
  }

  /** Another connection that sees the same moment. */
  async #join(): Promise<pg.Client> {
    const client = await this.#connections.take()
    await client.query(begin)
    await client.query(`set transaction snapshot '${this.#snapshot}'`)
    return client
  }
}
