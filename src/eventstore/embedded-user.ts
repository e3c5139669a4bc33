import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname } from 'node:path'

/** The account the embedded server runs as. PostgreSQL refuses to run as root. */
export interface ServerUser {
  readonly name: string
  readonly uid: number
  readonly gid: number
  /** True when the daemon is root and changes to this user for the server. */
  readonly switched: boolean
}

/** A user of its own, not shared with QEMU: whoever runs as it may open the log's database. */
const SYSTEM_USER = 'chronovisor-postgres'
const CREATE_COMMANDS = [
  [
    'useradd',
    '--system',
    '--user-group',
    '--no-create-home',
    '--home-dir',
    '/nonexistent',
    '--shell',
    '/usr/sbin/nologin',
    SYSTEM_USER,
  ],
  ['adduser', '-S', '-D', '-H', '-h', '/nonexistent', '-s', '/sbin/nologin', SYSTEM_USER],
] as const

/** The user that runs the server: this one, or as root the system user chronovisor-postgres, created if it is missing. */
export function findServerUser(): ServerUser {
  const own = userInfo()
  if (own.uid !== 0) return { name: own.username, uid: own.uid, gid: own.gid, switched: false }
  const existing = lookUp(SYSTEM_USER)
  if (existing !== null) return existing
  // Another daemon may create it at the same time: what counts is that it is there afterwards.
  const failures = CREATE_COMMANDS.map(([command, ...args]) => (lookUp(SYSTEM_USER) ? '' : run(command, args)))
  const created = lookUp(SYSTEM_USER)
  if (created !== null) return created
  throw new Error(
    `Cannot create the system user "${SYSTEM_USER}" that runs the embedded PostgreSQL (${failures.join('; ')}); ` +
      'create it, or give a server with --database postgres://…',
  )
}

/**
 * Throws naming the first directory on the way to one of `directories` that the server's user cannot pass. Asked of the
 * kernel as that user, so access lists and mount options count.
 */
export function requireTraversable(directories: readonly string[], user: ServerUser): void {
  const script = 'for d in "$@"; do test -x "$d" || { printf %s "$d"; exit 1; }; done'
  const options = { encoding: 'utf8', cwd: '/', ...spawnIdentity(user) } as const
  const ways = directories.flatMap(withAncestors)
  const { status, stdout } = spawnSync('/bin/sh', ['-c', script, 'sh', ...ways], options)
  if (status === 0) return
  const directory = directories.find((each) => withAncestors(each).includes(stdout)) ?? stdout
  throw new Error(
    `Cannot use "${directory}": user ${user.name}, who runs the embedded PostgreSQL, cannot traverse "${stdout}"; ` +
      'allow it (chmod o+x), or choose another directory with --state-dir or --socket-dir',
  )
}

/** The part of spawn's options that changes the user; nothing where the daemon is not root. */
export function spawnIdentity(user: ServerUser): { readonly uid?: number; readonly gid?: number } {
  return user.switched ? { uid: user.uid, gid: user.gid } : {}
}

function withAncestors(directory: string): string[] {
  const parent = dirname(directory)
  return parent === directory ? [directory] : [...withAncestors(parent), directory]
}

/** From /etc/passwd, which is read at once; else by `id`: the user may come from a directory service. */
function lookUp(name: string): ServerUser | null {
  const local = localUser(name)
  if (local !== null) return local
  const uid = spawnSync('id', ['-u', name], { encoding: 'utf8' })
  const gid = spawnSync('id', ['-g', name], { encoding: 'utf8' })
  if (uid.status !== 0 || gid.status !== 0) return null
  return { name, uid: Number(uid.stdout), gid: Number(gid.stdout), switched: true }
}

function localUser(name: string): ServerUser | null {
  let lines: readonly string[]
  try {
    lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  } catch {
    return null
  }
  const [, , uid = '', gid = ''] = lines.find((line) => line.startsWith(`${name}:`))?.split(':') ?? []
  return /^\d+$/.test(uid) && /^\d+$/.test(gid) ? { name, uid: Number(uid), gid: Number(gid), switched: true } : null
}

function run(command: string, args: readonly string[]): string {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  return status === 0 ? '' : `${command}: ${error?.message ?? stderr.trim()}`
}
