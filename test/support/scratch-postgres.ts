import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { findPostgresql } from '../../src/cli/is-package-present.ts'
import { installEmbeddedBinaries } from '../../src/eventstore/embedded-binaries.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'

const role = 'log'
const startLimitMs = 30_000

// Small and quick, but as durable as the real one: fsync stays on.
const settings = [
  'listen_addresses=',
  'max_connections=60',
  'shared_buffers=32MB',
  'fsync=on',
  'synchronous_commit=on',
  'autovacuum=off',
  'max_wal_size=512MB',
  'log_min_messages=fatal',
]

/** How a scratch server differs from the small one of tests. `settings` as on the command line, `name=value`; the last one counts. */
export interface ScratchOptions {
  readonly settings?: readonly string[]
  readonly port?: number
  /** Where its directory is made; /tmp unless told. The server's user must be able to pass it. */
  readonly parent?: string
  /** Whose programs; what CHRONOVISOR_TEST_POSTGRES says unless told. `debian` only where `requireTool('postgresql-15')` says that it is there. */
  readonly server?: 'embedded' | 'debian'
  /** The data directory of a stopped server to start from a copy of. */
  readonly dataFrom?: string
}

interface Account {
  readonly uid?: number
  readonly gid?: number
}

/**
 * A throw-away PostgreSQL server for tests: the embedded one, or with CHRONOVISOR_TEST_POSTGRES=debian the distribution's. Start one a
 * test file (`beforeAll`), take a new database for each test.
 */
export class ScratchPostgres implements AsyncDisposable {
  readonly #directory: string
  readonly #binDir: string
  readonly #account: Account
  readonly #settings: readonly string[]
  readonly #port: number
  #server: ChildProcess | null = null

  private constructor(
    directory: string,
    {
      binDir,
      account,
      options,
    }: { readonly binDir: string; readonly account: Account; readonly options: ScratchOptions },
  ) {
    this.#directory = directory
    this.#binDir = binDir
    this.#account = account
    this.#port = options.port ?? 5432
    this.#settings = [...settings, ...(options.settings ?? []), `port=${this.#port}`]
  }

  /** Starts a server in a directory of its own. */
  static async start(options: ScratchOptions = {}): Promise<ScratchPostgres> {
    const directory = await mkdtemp(join(options.parent ?? tmpdir(), 'scratch-pg-'))
    try {
      const account: Account = userInfo().uid === 0 ? (accountOf('postgres') ?? accountOf('nobody') ?? {}) : {}
      await chmod(directory, 0o755)
      const binDir = await findBinaries(directory, options.server ?? wantedServer())
      if (account.uid !== undefined && account.gid !== undefined) await chown(directory, account.uid, account.gid)
      const scratch = new ScratchPostgres(directory, { binDir, account, options })
      const initdb = ['-D', scratch.dataDir, '-U', role, '--auth=trust', '--locale=C', '--encoding=UTF8', '--no-sync']
      const made =
        options.dataFrom === undefined
          ? spawnSync(join(binDir, 'initdb'), initdb, { cwd: '/', encoding: 'utf8', ...account })
          : spawnSync('cp', ['-a', options.dataFrom, scratch.dataDir], { encoding: 'utf8' })
      if (made.status !== 0) throw new Error(`Cannot make a scratch cluster: ${made.stderr}`)
      await scratch.resume()
      return scratch
    } catch (error) {
      await rm(directory, { recursive: true, force: true })
      throw error
    }
  }

  /** The directory of the server's socket, `.s.PGSQL.<port>`. */
  get socketDir(): string {
    return this.#directory
  }

  /** Where the server's programs are. */
  get binDir(): string {
    return this.#binDir
  }

  /** Where the cluster's files are. */
  get dataDir(): string {
    return join(this.#directory, 'data')
  }

  /** Makes an empty database. */
  async createDatabase(): Promise<PostgresAddress> {
    const database = `test_${randomBytes(6).toString('hex')}`
    await this.run('postgres', `create database ${database}`)
    return this.address(database)
  }

  address(database: string): PostgresAddress {
    return { host: this.#directory, port: this.#port, user: role, database }
  }

  /** Runs SQL on a connection of its own. */
  async run(database: string, text: string, values: readonly unknown[] = []): Promise<pg.QueryResult> {
    const client = new pg.Client({ ...this.address(database), connectionTimeoutMillis: 5_000 })
    client.on('error', () => undefined) // a query that is cut off rejects
    await client.connect()
    try {
      return await client.query(text, values.length === 0 ? undefined : [...values])
    } finally {
      await client.end()
    }
  }

  /** Kills the server as `kill -9` does; its own processes follow. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Stops the server in order; its files are complete afterwards. */
  async stop(): Promise<void> {
    await this.#end('SIGINT')
  }

  /** Starts the server again after {@link kill} or {@link stop}, and waits until it answers. */
  async resume(): Promise<void> {
    const deadline = performance.now() + startLimitMs
    for (;;) {
      if (this.#server === null || this.#server.exitCode !== null || this.#server.signalCode !== null) {
        // A start is refused as long as the processes of a killed server are not all gone.
        const options = [...this.#settings, `unix_socket_directories=${this.#directory}`].flatMap((setting) => [
          '-c',
          setting,
        ])
        this.#server = spawn(join(this.#binDir, 'postgres'), ['-D', this.dataDir, ...options], {
          cwd: '/',
          stdio: 'ignore',
          env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
          ...this.#account,
        })
      }
      const answered = await this.run('postgres', 'select 1').then(
        () => true,
        () => false,
      )
      if (answered && this.#server.exitCode === null) return
      if (performance.now() > deadline) throw new Error(`Cannot start the scratch PostgreSQL in "${this.#directory}"`)
      await sleep(20)
    }
  }

  /** The pid of the server. */
  async pid(): Promise<number> {
    return Number((await readFile(join(this.dataDir, 'postmaster.pid'), 'utf8')).split('\n')[0])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('SIGQUIT')
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 })
  }

  async #end(signal: 'SIGKILL' | 'SIGQUIT' | 'SIGINT'): Promise<void> {
    const server = this.#server
    this.#server = null
    if (server === null || server.exitCode !== null || server.signalCode !== null) return
    const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()))
    server.kill(signal)
    await ended
  }
}

function wantedServer(): 'embedded' | 'debian' {
  return process.env['CHRONOVISOR_TEST_POSTGRES'] === 'debian' ? 'debian' : 'embedded'
}

async function findBinaries(directory: string, server: 'embedded' | 'debian'): Promise<string> {
  if (server === 'embedded') return (await installEmbeddedBinaries(directory)).binDir
  const binDir = findPostgresql(15)
  if (binDir === null) throw new Error('Cannot start a scratch PostgreSQL: the distribution’s is not installed')
  return binDir
}

function accountOf(name: string): { readonly uid: number; readonly gid: number } | null {
  const uid = spawnSync('id', ['-u', name], { encoding: 'utf8' })
  const gid = spawnSync('id', ['-g', name], { encoding: 'utf8' })
  return uid.status === 0 && gid.status === 0 ? { uid: Number(uid.stdout), gid: Number(gid.stdout) } : null
}
