import { chownSync, existsSync, mkdirSync, realpathSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { installEmbeddedBinaries } from './embedded-binaries.ts'
import { type ClusterPlace, createCluster, writeClusterSettings } from './embedded-cluster.ts'
import {
  findServer,
  isServerAlive,
  type ReadyOptions,
  type ServerProcess,
  startServer,
  stopServer,
  waitUntilReady,
} from './embedded-process.ts'
import { embeddedPort, embeddedRole, postgresSocketPath } from './embedded-settings.ts'
import { findServerUser, requireTraversable } from './embedded-user.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { serverAnswers } from './server-answers.ts'

/** Where the messages of the supervisor go; a pino logger is one. */
export interface EmbeddedPostgresLog {
  info(message: string): void
  warn(message: string): void
}

/** Where the embedded server keeps its files and its socket. */
export interface EmbeddedPostgresOptions {
  /** The daemon's state directory; everything of the server is below `<stateDir>/postgresql`. */
  readonly stateDir: string
  /** The daemon's socket directory; the server's socket is in `<socketDir>/postgresql`. */
  readonly socketDir: string
  readonly log: EmbeddedPostgresLog
  readonly signal?: AbortSignal
}

const FIRST_BACKOFF_MS = 100
const LAST_BACKOFF_MS = 10_000
const WATCH_MS = 200
const ANSWER_TIMEOUT_MS = 2_000
const ANSWER_POLL_MS = 5

/**
 * Makes sure that the embedded PostgreSQL runs, and keeps it running: installs its programs, creates its cluster,
 * adopts the server that outlived a killed daemon, else starts one. Throws where that is impossible, naming what to change.
 */
export async function openEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const starting = await beginEmbeddedPostgres(options)
  return await starting.ready()
}

/** A server whose process runs, and which may still be getting ready. Disposing it stops the server, ready or not. */
export interface StartingPostgres extends AsyncDisposable {
  /** The server once it accepts connections. Throws where it ends instead; it is stopped then. */
  ready(): Promise<EmbeddedPostgres>
}

/** Does what {@link openEmbeddedPostgres} does up to the start of the server's process: the caller has other work while it gets ready. */
export async function beginEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<StartingPostgres> {
  const place = await preparePlace(options)
  const root = dirname(place.dataDir)
  const logFile = join(root, 'server.log')
  const found = await livingServer(place, root)
  const adopted = found?.binary === join(place.binDir, 'postgres') && found.socketDir === place.socketDir
  if (found !== null && !adopted) {
    options.log.info(`Stopping the embedded PostgreSQL of another version or socket directory (process ${found.pid})`)
    await stopServer(found, place.dataDir)
  }
  const untilReady = async (server: ServerProcess, signal?: AbortSignal): Promise<ServerProcess> => {
    try {
      await waitUntilReady(server, readyOptions(options, { dataDir: place.dataDir, logFile, signal }))
      return server
    } catch (error) {
      if (server.child !== null) await stopServer(server, place.dataDir)
      throw explained(error, place)
    }
  }
  const launch = async (): Promise<ServerProcess> => {
    writeClusterSettings(place)
    return await startServer(place, logFile).catch((error: unknown) => Promise.reject(explained(error, place)))
  }
  if (!adopted) await createCluster(place)
  const server = adopted ? found : await launch()
  const parts = { place, adopted, launch: async (signal?: AbortSignal) => await untilReady(await launch(), signal) }
  let opened: EmbeddedPostgres | null = null
  return {
    async ready() {
      opened ??= new EmbeddedPostgres({ ...parts, log: options.log, server: await untilReady(server, options.signal) })
      return opened
    },
    async [Symbol.asyncDispose]() {
      await (opened === null ? stopServer(server, place.dataDir) : opened.stop())
    },
  }
}

/** The server that serves the data directory already; one whose end is under way is none, once it has ended. */
async function livingServer({ dataDir }: ClusterPlace, root: string): Promise<ServerProcess | null> {
  const found = await findServer(dataDir, root)
  if (found === null) return null
  const limit = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
  while (!limit.aborted) {
    if (await serverAnswers(postgresSocketPath(found.socketDir), ANSWER_TIMEOUT_MS)) return found
    if (!(await isServerAlive(found, dataDir))) return null
    await sleep(ANSWER_POLL_MS)
  }
  return found
}

/** A directory that the server's user cannot pass is told by name: the server itself says little of it. */
function explained(error: unknown, { dataDir, socketDir, user }: ClusterPlace): unknown {
  try {
    requireTraversable([dirname(dataDir), socketDir], user)
    return error
  } catch (closed) {
    return closed
  }
}

interface Parts {
  readonly place: ClusterPlace
  readonly server: ServerProcess
  readonly adopted: boolean
  readonly launch: (signal?: AbortSignal) => Promise<ServerProcess>
  readonly log: EmbeddedPostgresLog
}

/** A supervised server. Disposing it stops it; a daemon that is killed leaves it running, to be adopted. */
export class EmbeddedPostgres implements AsyncDisposable {
  readonly connection: PostgresAddress
  /** True when the server was running already. */
  readonly adopted: boolean
  readonly #parts: Parts
  readonly #stopping = new AbortController()
  readonly #listeners = new Set<(pid: number) => void>()
  #server: ServerProcess
  #restart: Promise<void> | null = null

  /** Use {@link openEmbeddedPostgres}. */
  constructor(parts: Parts) {
    this.#parts = parts
    this.#server = parts.server
    this.adopted = parts.adopted
    this.connection = { host: parts.place.socketDir, port: embeddedPort, user: embeddedRole, database: embeddedRole }
    this.#watch()
  }

  /** The server's process; another one after a restart. */
  get pid(): number {
    return this.#server.pid
  }

  /** Calls the listener each time the server ends without having been told to; returns the way to stop listening. */
  onExit(listener: (pid: number) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Returns once the server accepts connections. A dead one is being restarted anyhow, with growing pauses; the signal
   * ends this wait only. Rejects after `stop`.
   */
  async ensureRunning(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    await this.#notice()
    const restart = this.#restart
    if (this.#stopping.signal.aborted) throw new Error('Cannot wait for the embedded PostgreSQL: it is being stopped')
    if (restart !== null) await (signal === undefined ? restart : raceWithSignal(restart, signal))
  }

  /** Ends the supervision and stops the server; clients still connected are cut off. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#restart?.catch(() => undefined)
    await stopServer(this.#server, this.#parts.place.dataDir)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** A child tells when it ends; an adopted server is nobody's child here and has to be looked at. */
  #watch(): void {
    const { child } = this.#server
    if (child !== null) {
      child.once('exit', () => this.#begin(this.#server))
      return
    }
    const watched = this.#server
    const timer = setInterval(() => {
      if (this.#stopping.signal.aborted || this.#server !== watched) clearInterval(timer)
      else void this.#notice()
    }, WATCH_MS)
    timer.unref()
  }

  async #notice(): Promise<void> {
    const server = this.#server
    if (!(await isServerAlive(server, this.#parts.place.dataDir))) this.#begin(server)
  }

  #begin(dead: ServerProcess): void {
    if (this.#restart !== null || dead !== this.#server || this.#stopping.signal.aborted) return
    this.#parts.log.warn(`The embedded PostgreSQL (process ${dead.pid}) ended; starting it again`)
    this.#restart = this.#relaunch().finally(() => {
      this.#restart = null
    })
    // Whoever waits in ensureRunning sees the rejection, which only a stop causes.
    this.#restart.catch(() => undefined)
    for (const listener of this.#listeners) listener(dead.pid)
  }

  async #relaunch(): Promise<void> {
    const { signal } = this.#stopping
    for (let pauseMs = FIRST_BACKOFF_MS; ; pauseMs = Math.min(pauseMs * 2, LAST_BACKOFF_MS)) {
      try {
        this.#server = await this.#parts.launch(signal)
        this.#parts.log.info(`The embedded PostgreSQL runs again (process ${this.#server.pid})`)
        this.#watch()
        return
      } catch (error) {
        signal.throwIfAborted()
        this.#parts.log.warn(`${error instanceof Error ? error.message : String(error)}; next try in ${pauseMs} ms`)
        await sleep(pauseMs, undefined, { signal })
      }
    }
  }
}

async function preparePlace(options: EmbeddedPostgresOptions): Promise<ClusterPlace> {
  const user = findServerUser()
  mkdirSync(options.stateDir, { recursive: true, mode: user.switched ? 0o755 : 0o700 })
  const root = join(realpathSync(options.stateDir), 'postgresql')
  mkdirSync(root, { recursive: true, mode: 0o755 })
  const dataDir = join(root, 'data')
  const isNew = !existsSync(join(dataDir, 'PG_VERSION'))
  // Where there is a cluster the server itself shows whether it gets there, and costs no other process.
  if (isNew) requireTraversable([root], user)
  const { binDir, version } = await installEmbeddedBinaries(root)

  const socketDir = join(resolve(options.socketDir), 'postgresql')
  postgresSocketPath(socketDir)
  mkdirSync(options.socketDir, { recursive: true, mode: 0o755 })
  mkdirSync(socketDir, { recursive: true, mode: 0o750 })
  if (user.switched) chownSync(socketDir, user.uid, user.gid)
  if (isNew) requireTraversable([socketDir], user)
  const signal = options.signal === undefined ? {} : { signal: options.signal }
  return { binDir, version, dataDir, socketDir, user, ...signal }
}

function readyOptions(options: EmbeddedPostgresOptions, ready: Omit<ReadyOptions, 'onSlow'>): ReadyOptions {
  const onSlow = (): void =>
    options.log.info('The embedded PostgreSQL recovers from its write-ahead log; this may take a while')
  return { ...ready, onSlow }
}

async function raceWithSignal(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  await Promise.race([work, aborted.promise]).finally(() => signal.removeEventListener('abort', abort))
}
