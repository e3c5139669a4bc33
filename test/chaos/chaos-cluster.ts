import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { type BackupReport, backupLog } from '../../src/eventstore/backup-log.ts'
import { CutProxy } from '../support/cut-proxy.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import type { WriterOptions } from './process-options.ts'

const run = promisify(execFile)

type Address = WriterOptions['address']

/** Bytes of the small file system on which the server can run out of space. */
const smallDiskBytes = 1.5 * 2 ** 30

/** How the server of a run is made. */
export interface ClusterOptions {
  readonly settings: readonly string[]
  /** On a file system of its own that can be filled; root only. */
  readonly onSmallDisk: boolean
}

/** The private server of a run with its databases, and the proxy that stands between it and the writer. */
export class ChaosCluster implements AsyncDisposable {
  readonly directory: string
  readonly server: ScratchPostgres
  readonly proxy: CutProxy
  /** Null where the server's files lie on an ordinary disk. */
  readonly smallDisk: string | null
  readonly #janitor: ChildProcess

  private constructor(parts: {
    directory: string
    server: ScratchPostgres
    proxy: CutProxy
    smallDisk: string | null
    janitor: ChildProcess
  }) {
    this.directory = parts.directory
    this.server = parts.server
    this.proxy = parts.proxy
    this.smallDisk = parts.smallDisk
    this.#janitor = parts.janitor
  }

  /** Makes a cluster with the databases `log`, `output` (the consumers') and `elsewhere`. */
  static async start(options: ClusterOptions): Promise<ChaosCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'chaos-'))
    await chmod(directory, 0o755)
    const script = fileURLToPath(new URL('janitor.ts', import.meta.url))
    const janitor = spawn(process.execPath, [script, directory], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    })
    const smallDisk = options.onSmallDisk ? await mountSmallDisk(directory) : null
    const parent = smallDisk ?? directory
    const server = await ScratchPostgres.start({ settings: ['max_connections=90', ...options.settings], parent })
    for (const database of ['log', 'output', 'elsewhere']) await server.run('postgres', `create database ${database}`)
    const proxy = await CutProxy.start(`${server.socketDir}/.s.PGSQL.5432`)
    return new ChaosCluster({ directory, server, proxy, smallDisk, janitor })
  }

  /** A database of the server, on its own socket. */
  address(database: 'log' | 'output' | 'elsewhere'): Address {
    const { host = '', port = 0, user = '' } = this.server.address(database)
    return { host, port, user, database }
  }

  /** The log's database behind the proxy. */
  get proxied(): Address {
    return { ...this.address('log'), host: '127.0.0.1', port: this.proxy.port }
  }

  /** Takes the server's disk space away and returns what gives it back. */
  async fillDisk(): Promise<() => Promise<void>> {
    const disk = this.smallDisk
    if (disk === null) return async () => undefined
    const { bavail, bsize } = await statfs(disk)
    const ballast = join(disk, 'ballast')
    const sizeBytes = Math.max(bavail * bsize - 8_192, 4_096)
    await run('fallocate', ['-l', String(sizeBytes), ballast]).catch(() => undefined) // the server was faster: it is full
    return () => rm(ballast, { force: true })
  }

  /** Where backups of the log go; each brings the one before up to date. */
  get backupDirectory(): string {
    return join(this.directory, 'backup')
  }

  /** Backs the log up as it is now. */
  async backUp(signal?: AbortSignal): Promise<BackupReport> {
    return await backupLog({
      address: this.address('log'),
      dir: this.backupDirectory,
      segmentRows: 1 << 12,
      ...(signal === undefined ? {} : { signal }),
    })
  }

  /** Runs an action with a connection of its own; what fails because the server is away is left out. */
  async attempt(
    database: 'log' | 'output' | 'elsewhere',
    action: (client: pg.Client) => Promise<void>,
  ): Promise<boolean> {
    const client = new pg.Client({
      ...this.address(database),
      application_name: 'chaos',
      connectionTimeoutMillis: 2_000,
    })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await action(client)
      return true
    } catch {
      return false
    } finally {
      await client.end().catch(() => undefined)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]()
    await this.server[Symbol.asyncDispose]()
    if (this.smallDisk !== null) spawnSync('umount', [this.smallDisk])
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 })
    const ended = new Promise<void>((resolve) => this.#janitor.once('exit', () => resolve()))
    this.#janitor.stdin?.end()
    await ended
  }
}

async function mountSmallDisk(directory: string): Promise<string | null> {
  if (userInfo().uid !== 0) return null
  const mountPoint = join(directory, 'disk')
  await mkdir(mountPoint, { mode: 0o755 })
  const options = `size=${smallDiskBytes},mode=0755`
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'chaos', mountPoint])
  return mounted.status === 0 ? mountPoint : null
}
