import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { CliError } from './cli-error.ts'

const daemonFileSchema = v.object({
  pid: v.number(),
  startedAt: v.string(),
  version: v.string(),
  driver: v.picklist(['qemu', 'test']),
  database: v.object({
    connectionString: v.exactOptional(v.string()),
    host: v.exactOptional(v.string()),
    port: v.exactOptional(v.number()),
    database: v.exactOptional(v.string()),
    user: v.exactOptional(v.string()),
  }),
  sockets: v.object({ readWrite: v.string(), readOnly: v.string(), logFeed: v.exactOptional(v.string()) }),
  stateDir: v.string(),
  grpc: v.exactOptional(v.string()),
  metrics: v.exactOptional(v.string()),
  uri: v.string(),
})

/** What a running daemon writes for those who look for it, as `<socketDir>/daemon.json`. */
export type DaemonFile = v.InferOutput<typeof daemonFileSchema>

/** Reads the file of a daemon that runs, or of one that was killed; null where none ever ran since the boot. Throws {@link CliError}. */
export function readDaemonFile(socketDir: string): DaemonFile | null {
  const path = join(socketDir, 'daemon.json')
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return null
    throw new CliError(`Cannot read "${path}": ${messageOf(error)}; the daemon was started by another user`, {
      cause: error,
    })
  }
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), daemonFileSchema), text)
  if (parsed.success) return parsed.output
  const [issue] = parsed.issues
  throw new CliError(`Cannot read "${path}": ${v.getDotPath(issue) ?? 'it'}: ${issue.message}`)
}

/** Whether the daemon of a file still runs. */
export function isRunning(daemon: Pick<DaemonFile, 'pid'>): boolean {
  return existsSync(`/proc/${daemon.pid}`)
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
