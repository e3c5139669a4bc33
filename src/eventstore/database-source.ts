import pg from 'pg'
import { copyStream } from './copy-stream.ts'
import { type LogSource, type LogTable, logTables } from './log-tables.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { clientConfig } from './postgres-client.ts'

/** The rows of a log in its database, all as of one moment, beside whoever writes on. */
export class DatabaseSource implements LogSource, AsyncDisposable {
  readonly #address: PostgresAddress
  readonly #first: pg.Client
  readonly #snapshot: string
  readonly #idle: pg.Client[] = []
  readonly #busy = new Set<pg.Client>()

  private constructor(address: PostgresAddress, from: { readonly first: pg.Client; readonly snapshot: string }) {
    this.#address = address
    this.#first = from.first
    this.#snapshot = from.snapshot
  }

  static async open(address: PostgresAddress): Promise<DatabaseSource> {
    const first = await connect(address)
    try {
      await first.query(begin)
      const { rows } = await first.query<{ snapshot: string }>('select pg_export_snapshot() as snapshot')
      return new DatabaseSource(address, { first, snapshot: rows[0]?.snapshot ?? '' })
    } catch (error) {
      await first.end()
      throw error
    }
  }

  /** A connection of the same moment, for questions beside the rows. */
  get client(): pg.ClientBase {
    return this.#first
  }

  /** How many events the log says that it has. */
  async eventCount(): Promise<bigint> {
    const { rows } = await this.#first.query<{ events: bigint }>(
      'select coalesce(max(last_pos), -1) + 1 as events from commit',
    )
    return rows[0]?.events ?? 0n
  }

  rows(table: LogTable, from?: bigint): AsyncIterable<readonly Buffer[]> {
    const { key, columns } = logTables[table]
    const where = from === undefined ? '' : ` where ${columns[0]} >= ${from}`
    return this.#copy(`select ${columns.join(', ')} from ${table}${where} order by ${key}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#busy) client.connection.stream.destroy()
    await Promise.all([this.#first, ...this.#idle].map((client) => client.end().catch(() => undefined)))
  }

  async *#copy(select: string): AsyncGenerator<readonly Buffer[], void> {
    const client = this.#idle.pop() ?? (await this.#connect())
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

  async #connect(): Promise<pg.Client> {
    const client = await connect(this.#address)
    await client.query(begin)
    await client.query(`set transaction snapshot '${this.#snapshot}'`)
    return client
  }
}

const begin = 'begin isolation level repeatable read read only'

/** Rows are wanted in the order of a key that has an index, and soon: never sorted first. */
async function connect(address: PostgresAddress): Promise<pg.Client> {
  const config = clientConfig(address, 'chronovisor verify')
  const options = `${config.options ?? ''} -c enable_seqscan=off -c enable_sort=off -c jit=off -c statement_timeout=0`
  const client = new pg.Client({ ...config, options })
  client.on('error', () => undefined) // a query in flight rejects
  await client.connect()
  return client
}
