import { existsSync, readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, open, realpath, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockStateDirectory } from '../daemon-lock.ts'
import { requireManifest } from '../eventstore/backup-directory.ts'
import { findServer, stopServer } from '../eventstore/embedded-process.ts'
import { openEmbeddedPostgres } from '../eventstore/embedded-postgres.ts'
import { type RestoreOptions, type RestoreReport, RestoreRefusedError, restoreLog } from '../eventstore/restore-log.ts'
import { beginRestore, endRestore, hasUnfinishedRestore, restorePrefix } from '../eventstore/restore-marker.ts'
import { LocalProcesses } from '../host/local-processes.ts'
import { quietLog } from './log-database.ts'

/** How to restore into a state directory: where the daemon will be, and what. */
export interface RestoreStateOptions extends Omit<RestoreOptions, 'address'> {
  readonly stateDir: string
}

/**
 * Restores into a state directory without a database: makes the embedded server's cluster, and leaves it stopped, ready for the daemon.
 * What fails leaves no database behind; what is killed leaves a mark that no daemon starts on and the next restore clears away.
 */
export async function restoreStateDirectory(options: RestoreStateOptions): Promise<RestoreReport> {
  const { stateDir } = options
  const { log } = await requireManifest(options.dir)
  await mkdir(stateDir, { recursive: true, mode: 0o755 })
  using _lock = lockStateDirectory(stateDir, new LocalProcesses(), hostname())
  const root = join(await realpath(stateDir), 'postgresql')
  if (hasUnfinishedRestore(stateDir)) await undo(stateDir, root)
  requireNoDatabase(stateDir, root)
  requireSameHost(stateDir, log.hostId)
  const socketDir = await newSocketDirectory()
  await beginRestore(stateDir, socketDir)
  try {
    await using server = await openEmbeddedPostgres({
      stateDir,
      socketDir,
      log: quietLog,
      ...signalOf(options),
    })
    const report = await restoreLog({ ...options, address: server.connection })
    await server.stop()
    await writeHostId(stateDir, log.hostId)
    await endRestore(stateDir)
    return report
  } catch (error) {
    await undo(stateDir, root)
    options.signal?.throwIfAborted()
    throw error
  }
}

/** For the socket: the usual place may be in use by a daemon with another state directory. Open to all, as the server has a user of its own. */
async function newSocketDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), restorePrefix))
  await chmod(path, 0o755)
  return path
}

function signalOf({ signal }: { readonly signal?: AbortSignal }): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}

function requireNoDatabase(stateDir: string, root: string): void {
  const versionFile = join(root, 'data', 'PG_VERSION')
  if (!existsSync(join(root, 'data'))) return
  const version = existsSync(versionFile) ? ` of PostgreSQL ${readFileSync(versionFile, 'utf8').trim()}` : ''
  throw new RestoreRefusedError(
    `Cannot restore into "${stateDir}": it holds a database${version} in "${join(root, 'data')}"; name an empty directory with --state-dir, or move "${root}" away`,
  )
}

/** A log belongs to one host for ever, whose name a daemon keeps beside it. */
function requireSameHost(stateDir: string, hostId: string): void {
  const file = join(stateDir, 'host-id')
  if (!existsSync(file)) return
  const found = readFileSync(file, 'utf8').trim().toLowerCase()
  if (found === hostId) return
  throw new RestoreRefusedError(
    `Cannot restore into "${stateDir}": it belongs to host "${found}" ("${file}"), the log of the backup to host "${hostId}"`,
  )
}

async function writeHostId(stateDir: string, hostId: string): Promise<void> {
  await using file = await open(join(stateDir, 'host-id'), 'w', 0o644)
  await file.writeFile(`${hostId}\n`)
  await file.sync()
}

/** What a restore that was cut off or failed has made: a server that may still run, and its files. */
async function undo(stateDir: string, root: string): Promise<void> {
  const dataDir = join(root, 'data')
  const server = await findServer(dataDir, root)
  if (server !== null) await stopServer(server, dataDir)
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 })
  await endRestore(stateDir)
}
