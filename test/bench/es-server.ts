import { createServer } from 'node:net'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

/** Those of the event-store kit: durable, and large enough that no checkpoint falls into a short measure. */
const settings = [
  'listen_addresses=127.0.0.1',
  'shared_buffers=1GB',
  'max_wal_size=8GB',
  'checkpoint_timeout=15min',
  'fsync=on',
  'synchronous_commit=on',
  'full_page_writes=on',
  'wal_compression=pglz',
  'max_connections=200',
  'autovacuum=on',
]

/** The one PostgreSQL of a bench: over loopback TCP, as the rivals' clients reach it. */
export class BenchServer implements AsyncDisposable {
  readonly #scratch: ScratchPostgres
  readonly #port: number
  /** What it was started with. */
  readonly settings = settings

  private constructor(scratch: ScratchPostgres, port: number) {
    this.#scratch = scratch
    this.#port = port
  }

  /** Starts it on a free port. */
  static async start(): Promise<BenchServer> {
    const port = await freePort()
    return new BenchServer(await ScratchPostgres.start({ settings, port }), port)
  }

  /** The URL of its first database, of a superuser. */
  get dsn(): string {
    return this.#dsnOf('postgres')
  }

  /** What the server says it is. */
  async version(): Promise<string> {
    const { rows } = await this.#scratch.run('postgres', 'select version() as text')
    return String(rows[0]?.text)
  }

  /** Makes an empty database. */
  async createDatabase(): Promise<{
    readonly name: string
    readonly address: { readonly connectionString: string }
  }> {
    const { database = 'postgres' } = await this.#scratch.createDatabase()
    return { name: database, address: { connectionString: this.#dsnOf(database) } }
  }

  /** Statistics and a checkpoint, so that a measure begins at rest. */
  async settle(database: string): Promise<void> {
    await this.#scratch.run(database, 'vacuum analyze')
    await this.#scratch.run(database, 'checkpoint')
  }

  /** Gives a database's space back. */
  async drop(database: string): Promise<void> {
    await this.#scratch.run('postgres', `drop database ${database} with (force)`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scratch[Symbol.asyncDispose]()
  }

  #dsnOf(database: string): string {
    return `postgres://log@127.0.0.1:${this.#port}/${database}`
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('Cannot find a free port')
  return address.port
}
