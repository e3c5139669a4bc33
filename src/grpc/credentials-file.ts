import {
  chownSync,
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import * as v from 'valibot'
import type { Role } from './call-peer.ts'
import { type PasswordHash, passwordHash } from './password-hash.ts'

/** A user of the gRPC port: a line `NAME ROLE HASH` of the file. */
export interface GrpcUser {
  readonly name: string
  readonly role: Role
  /** Null for {@link anonymousName} only, who gives no password. */
  readonly hash: PasswordHash | null
}

/** Name of the user that stands for callers without credentials; without such a line they are refused. */
export const anonymousName = 'anonymous'

/** Only the daemon's user may read the file. */
const fileMode = 0o600
const maxFileBytes = 1 << 20

const userName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/))

/** Where the users are kept. */
export function credentialsPath(stateDir: string): string {
  return join(stateDir, 'grpc-credentials')
}

/** Whether a name can be that of a user: letters, digits and `. _ @ -`, at most 64. */
export function isUserName(name: string): boolean {
  return v.is(userName, name)
}

/** The file cannot be used as it is; the message names it and says why. */
export class CredentialsFileError extends Error {
  override readonly name = 'CredentialsFileError'
}

/** Users of a credentials file, by name; none where there is no file. Throws {@link CredentialsFileError}. */
export function readCredentials(path: string): ReadonlyMap<string, GrpcUser> {
  const text = readPrivate(path)
  const users = new Map<string, GrpcUser>()
  for (const [at, line] of text.split('\n').entries()) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const user = parseUser(trimmed)
    if (user === null || users.has(user.name)) {
      throw new CredentialsFileError(`Cannot use line ${at + 1} of "${path}": it is not NAME ROLE HASH of a new name`)
    }
    users.set(user.name, user)
  }
  return users
}

/** Replaces the file as a whole; a daemon that runs takes the new users at the next call. */
export function writeCredentials(path: string, users: Iterable<GrpcUser>): void {
  const lines = [...users].map(
    ({ name, role, hash }) => `${name} ${role} ${hash === null ? '-' : passwordHash.format(hash)}`,
  )
  const text = ['# Users of the gRPC port: NAME ROLE HASH; made by "chronovisor grpc-user".', ...lines, ''].join('\n')
  const made = `${path}.new`
  rmSync(made, { force: true })
  writeFileSync(made, text, { mode: fileMode, flag: 'wx' })
  // Where root does it for a daemon that is not root's, the daemon must be able to read it.
  const { uid, gid } = statSync(dirname(path))
  if (process.geteuid?.() === 0) chownSync(made, uid, gid)
  renameSync(made, path)
}

/** Says which version of the file is there: something else after every change; '' where there is none. */
export function credentialsVersion(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? '' : `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`
}

function parseUser(line: string): GrpcUser | null {
  const [name = '', role, text, ...rest] = line.split(/\s+/)
  if (!isUserName(name) || (role !== 'reader' && role !== 'writer') || text === undefined || rest.length > 0)
    return null
  if (name === anonymousName) return text === '-' ? { name, role, hash: null } : null
  const hash = passwordHash.parse(text)
  return hash === null ? null : { name, role, hash }
}

function readPrivate(path: string): string {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw new CredentialsFileError(`Cannot read "${path}": ${error instanceof Error ? error.message : String(error)}`)
  }
  try {
    const { mode, size, uid } = fstatSync(descriptor)
    const open = mode & 0o077
    if (open !== 0) {
      const found = (mode & 0o777).toString(8)
      throw new CredentialsFileError(`Cannot use "${path}": its mode is ${found}, it must be 600: others could read it`)
    }
    const self = process.geteuid?.()
    if (uid !== 0 && self !== 0 && uid !== self) {
      throw new CredentialsFileError(
        `Cannot use "${path}": it belongs to uid ${uid}, it must belong to the daemon's user`,
      )
    }
    if (size > maxFileBytes)
      throw new CredentialsFileError(`Cannot use "${path}": it has more than ${maxFileBytes} bytes`)
    return readFileSync(descriptor, 'utf8')
  } finally {
    closeSync(descriptor)
  }
}
