import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
import { open, readdir, readFile, readlink, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClusterPlace } from './embedded-cluster.ts'
import { postgresSocketPath } from './embedded-settings.ts'
import { spawnIdentity } from './embedded-user.ts'

/** A running server: its process, and the child handle where this daemon started it. */
export interface ServerProcess {
  readonly pid: number
  readonly binary: string
  readonly socketDir: string
  readonly child: ChildProcess | null
}

/** Recovery after a crash may have to replay the write-ahead log since the last checkpoint. */
const READY_TIMEOUT_MS = 3_600_000
const STOP_TIMEOUT_MS = 60_000
const ORPHAN_TIMEOUT_MS = 20_000
const POLL_MS = 5
const SLOW_POLL_MS = 50
const FAST_POLLS = 200
const LOG_LIMIT_BYTES = 10 * 1024 * 1024
const QUOTED_LOG_BYTES = 2_000

/**
 * The server that already serves `dataDir`, or null. Believed only where the process is alive, is a `postgres` below
 * `root` and works in that data directory: a process number in a file may by now belong to anybody.
 */
export async function findServer(dataDir: string, root: string): Promise<ServerProcess | null> {
  const pidFile = await readPidFile(dataDir)
  if (pidFile === null) return null
  const binary = (await link(pidFile.pid, 'exe'))?.replace(/ \(deleted\)$/, '')
  const isOurs = binary?.startsWith(`${root}/`) && binary.endsWith('/bin/postgres')
  if (binary === undefined || !isOurs || (await link(pidFile.pid, 'cwd')) !== dataDir) return null
  return { pid: pidFile.pid, binary, socketDir: pidFile.socketDir, child: null }
}

/** Starts the server in a session of its own, so that neither a kill of the daemon nor Ctrl-C reaches it; logs to a file. */
export async function startServer(place: ClusterPlace, logFile: string): Promise<ServerProcess> {
  await clearLeftovers(place)
  if (((await stat(logFile).catch(() => null))?.size ?? 0) > LOG_LIMIT_BYTES) await rename(logFile, `${logFile}.1`)
  await using log = await open(logFile, 'a', 0o640)
  const binary = join(place.binDir, 'postgres')
  const child = spawn(binary, ['-D', place.dataDir], {
    cwd: '/',
    detached: true,
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['ignore', log.fd, log.fd],
    ...spawnIdentity(place.user),
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error) =>
      reject(
        new Error(`Cannot start the embedded PostgreSQL: "${binary}" does not run: ${error.message}`, { cause: error }),
      ),
    )
  })
  child.unref()
  if (child.pid === undefined)
    throw new Error(`Cannot start the embedded PostgreSQL: "${binary}" has no process number`)
  return { pid: child.pid, binary, socketDir: place.socketDir, child }
}

/** Waits until the server accepts connections, which it notes in its pid file; a server that ends instead is an error with its last words. */
export async function waitUntilReady(server: ServerProcess, options: ReadyOptions): Promise<void> {
  const limit = AbortSignal.timeout(READY_TIMEOUT_MS)
  for (let polls = 0; !limit.aborted; polls += 1) {
    options.signal?.throwIfAborted()
    const pidFile = await readPidFile(options.dataDir)
    if (pidFile?.pid === server.pid && pidFile.status === 'ready') return
    if (!(await isServerAlive(server, options.dataDir))) {
      throw new Error(`Cannot start the embedded PostgreSQL: it ended at once: ${await lastWords(options.logFile)}`)
    }
    if (polls === FAST_POLLS) options.onSlow?.()
    await sleep(polls < FAST_POLLS ? POLL_MS : SLOW_POLL_MS)
  }
  throw new Error(
    `Cannot start the embedded PostgreSQL: process ${server.pid} is not ready after ${READY_TIMEOUT_MS / 1000} s: ` +
      (await lastWords(options.logFile)),
  )
}

/** What {@link waitUntilReady} has to know; `onSlow` is called once when it takes longer than a second or so. */
export interface ReadyOptions {
  readonly dataDir: string
  readonly logFile: string
  readonly signal?: AbortSignal | undefined
  readonly onSlow?: () => void
}

/**
 * Stops the server: fast (clients are cut off, everything is written), after a minute immediately (the next start
 * recovers from the write-ahead log). Returns when its process is gone.
 */
export async function stopServer(server: ServerProcess, dataDir: string): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (!(await isServerAlive(server, dataDir))) return
    kill(server.pid, signal)
    const limit = AbortSignal.timeout(STOP_TIMEOUT_MS)
    while (!limit.aborted) {
      if (!(await isServerAlive(server, dataDir))) return
      await sleep(POLL_MS)
    }
  }
  throw new Error(`Cannot stop the embedded PostgreSQL: process ${server.pid} survived SIGKILL`)
}

/** Whether this process is still that server: it lives, is no zombie, and works in the data directory. */
export async function isServerAlive(server: ServerProcess, dataDir: string): Promise<boolean> {
  if (server.child !== null) return server.child.exitCode === null && server.child.signalCode === null
  return (await link(server.pid, 'cwd')) === dataDir
}

interface PidFile {
  readonly pid: number
  readonly socketDir: string
  readonly status: string
}

/** Lines of postmaster.pid: process, data directory, start time, port, socket directory, address, shared memory, status. */
async function readPidFile(dataDir: string): Promise<PidFile | null> {
  const text = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => null)
  if (text === null) return null
  const [pid = '', , , , socketDir = '', , , status = ''] = text.split('\n')
  return /^\d+$/.test(pid) ? { pid: Number(pid), socketDir, status: status.trim() } : null
}

/**
 * When the server was killed its workers see that and end, but a new one refuses to start before they have. PostgreSQL
 * also refuses where the number in a lock file is taken: by another process of the same user, or by the killed server
 * itself while nobody has collected it. Such a lock is removed, after no process works in the data directory any more.
 */
async function clearLeftovers(place: ClusterPlace): Promise<void> {
  const limit = AbortSignal.timeout(ORPHAN_TIMEOUT_MS)
  for (;;) {
    const workers = processesIn(place.dataDir)
    if (workers.length === 0) break
    if (limit.aborted) {
      throw new Error(
        `Cannot start the embedded PostgreSQL: processes ${workers.join(', ')} of a former one still use "${place.dataDir}"`,
      )
    }
    await sleep(SLOW_POLL_MS)
  }
  await removeStaleLock(join(place.dataDir, 'postmaster.pid'), place.dataDir)
  await removeStaleLock(`${postgresSocketPath(place.socketDir)}.lock`, place.dataDir)
}

/**
 * Only a lock of this data directory whose number some process has that does not work there: PostgreSQL copes with all
 * others by itself, with checks of its own that removing the file would take away.
 */
async function removeStaleLock(file: string, dataDir: string): Promise<void> {
  const [pid = '', lockedBy] = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  if (lockedBy !== dataDir || !/^\d+$/.test(pid)) return
  if ((await readdir('/proc')).includes(pid) && (await link(Number(pid), 'cwd')) !== dataDir)
    await rm(file, { force: true })
}

// At once, not by promises: these would cost ten times as much, and a start waits for it.
function processesIn(directory: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.filter((pid) => worksIn(pid) === directory).map(Number)
}

function worksIn(pid: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return null // gone, a zombie, or not ours to look at
  }
}

/** Null where the process is gone, a zombie or not ours to look at. */
async function link(pid: number, name: 'exe' | 'cwd'): Promise<string | null> {
  return readlink(`/proc/${pid}/${name}`).catch(() => null)
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

async function lastWords(logFile: string): Promise<string> {
  const text = await readFile(logFile, 'utf8').catch(() => '')
  const words = text.slice(-QUOTED_LOG_BYTES).trim().split('\n').slice(-5).join(' | ')
  return words === '' ? `"${logFile}" says nothing` : `${words} (from "${logFile}")`
}
