import { spawn } from 'node:child_process'
import { chownSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { chown, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  embeddedRole,
  emptyLocalSettings,
  hostBasedAccess,
  identMap,
  localSettingsFile,
  serverSettings,
} from './embedded-settings.ts'
import { type ServerUser, spawnIdentity } from './embedded-user.ts'

const INIT_TIMEOUT_MS = 120_000
const KEPT_OUTPUT_CHARACTERS = 2_000

/** Where a cluster lies, whose it is and with which programs it is made. */
export interface ClusterPlace {
  readonly binDir: string
  /** Of the programs, such as "18.4.0-beta.17". */
  readonly version: string
  readonly dataDir: string
  readonly socketDir: string
  readonly user: ServerUser
  readonly signal?: AbortSignal
}

/**
 * Creates the cluster if there is none: beside its place and renamed into it when complete, so that a start cut short
 * leaves nothing half made. A cluster of another major version is refused, not touched.
 */
export async function createCluster(place: ClusterPlace): Promise<void> {
  const existing = await readFile(join(place.dataDir, 'PG_VERSION'), 'utf8').catch(() => null)
  if (existing === null) return initialise(place)
  const [ours] = place.version.split('.')
  if (existing.trim() === ours) return
  throw new Error(otherMajorText(place, { ours: ours ?? '', existing: existing.trim() }))
}

/** Another major version cannot read these files: the log moves by a backup, made by the version that can. */
function otherMajorText({ dataDir }: ClusterPlace, { ours, existing }: { ours: string; existing: string }): string {
  const root = dirname(dataDir)
  const stateDir = dirname(root)
  return [
    `Cannot start the embedded PostgreSQL ${ours}: "${dataDir}" was made by PostgreSQL ${existing}. To move the log:`,
    `  with the chronovisor version that made it (it brings PostgreSQL ${existing}):`,
    `    chronovisor backup /path/to/backup --state-dir ${stateDir}`,
    '  then with this version:',
    `    mv ${root} ${root}-${existing}`,
    `    chronovisor restore /path/to/backup --state-dir ${stateDir}`,
  ].join('\n')
}

/**
 * Writes the server's configuration files; what an operator changed in them does not count, what is in local.conf does. Not by promises, which
 * cost more than the files: a start waits for it.
 */
export function writeClusterSettings(place: ClusterPlace): void {
  writeOwned(place, 'postgresql.conf', serverSettings(place))
  if (!readdirSync(place.dataDir).includes(localSettingsFile)) {
    writeOwned(place, localSettingsFile, emptyLocalSettings)
  }
  writeOwned(place, 'pg_hba.conf', hostBasedAccess)
  writeOwned(place, 'pg_ident.conf', identMap(place.user.name))
}

async function initialise(place: ClusterPlace): Promise<void> {
  const parent = dirname(place.dataDir)
  await removeUnfinished(parent)
  const unfinished = join(parent, `data.new-${process.pid}`)
  await mkdir(unfinished, { mode: 0o700 })
  if (place.user.switched) await chown(unfinished, place.user.uid, place.user.gid)
  const access = ['--auth=peer', '--no-instructions']
  const args = ['-D', unfinished, '-U', embeddedRole, '--locale=C', '--encoding=UTF8', ...access]
  await run(place, { name: 'initdb', args })
  // The server is not up yet: the single-user mode makes the database without a connection.
  const input = `CREATE DATABASE ${embeddedRole};\n`
  await run(place, { name: 'postgres', args: ['--single', '-D', unfinished, 'postgres'], input })
  await rename(unfinished, place.dataDir)
}

async function removeUnfinished(parent: string): Promise<void> {
  const processes = await readdir('/proc')
  for (const name of await readdir(parent)) {
    const pid = /^data\.new-(\d+)$/.exec(name)?.[1]
    const abandoned = pid !== undefined && (pid === String(process.pid) || !processes.includes(pid))
    if (abandoned) await rm(join(parent, name), { recursive: true, force: true })
  }
}

function writeOwned(place: ClusterPlace, name: string, text: string): void {
  const file = join(place.dataDir, name)
  writeFileSync(`${file}.new`, text, { mode: 0o600 })
  if (place.user.switched) chownSync(`${file}.new`, place.user.uid, place.user.gid)
  renameSync(`${file}.new`, file)
}

interface Program {
  readonly name: 'initdb' | 'postgres'
  readonly args: readonly string[]
  readonly input?: string
}

/** Runs one of the server's programs as the server's user; throws with the end of its output where it fails. */
function run(place: ClusterPlace, program: Program): Promise<void> {
  const limit = AbortSignal.timeout(INIT_TIMEOUT_MS)
  const signal = place.signal === undefined ? limit : AbortSignal.any([limit, place.signal])
  const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
  const options = { cwd: '/', env, signal, ...spawnIdentity(place.user) }
  const child = spawn(join(place.binDir, program.name), program.args, options)
  let output = ''
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-KEPT_OUTPUT_CHARACTERS)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  child.stdin.on('error', () => undefined) // the program ended early: its exit code says so
  child.stdin.end(program.input ?? '')
  return new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(new Error(`Cannot run ${program.name} of the embedded PostgreSQL: ${why}`))
    child.on('error', (error) => fail(error.message))
    child.on('close', (code, ended) => {
      if (code === 0) resolve()
      else fail(`${ended ?? `exit ${code}`}: ${output.trim()}`)
    })
  })
}
