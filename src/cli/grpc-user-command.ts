import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { text as readAll } from 'node:stream/consumers'
import type { Role } from '../grpc/call-peer.ts'
import {
  anonymousName,
  CredentialsFileError,
  credentialsPath,
  type GrpcUser,
  isUserName,
  readCredentials,
  writeCredentials,
} from '../grpc/credentials-file.ts'
import { passwordHash } from '../grpc/password-hash.ts'
import { CliError } from './cli-error.ts'
import { exitCode } from './exit-code.ts'
import type { Invocation } from './invocation.ts'
import { formatTable } from './text-table.ts'

const passwordBytes = 24

/** `chronovisor grpc-user add`: a new user, or a new role and password of one. A password that was not given is made, and shown once. */
export async function grpcUserAddCommand({ args, options, config, out }: Invocation): Promise<number> {
  const name = nameOf(args[0])
  const role = roleOf(options['role'])
  const users = new Map(readUsers(config.stateDir))
  const given = options['passwordStdin'] === true
  if (given && name === anonymousName) throw new CliError(`Cannot add user "${name}": it has no password`)
  const password = given ? await passwordFromInput() : randomBytes(passwordBytes).toString('base64url')
  const isNew = !users.has(name)
  users.set(name, { name, role, hash: name === anonymousName ? null : await passwordHash.make(password) })
  writeUsers(config.stateDir, users.values())
  const isShown = !given && name !== anonymousName
  if (out.isJson) {
    out.document({ name, role, isNew, ...(isShown ? { password } : {}) })
    return exitCode.found
  }
  out.line(`User "${name}" is ${isNew ? 'now' : 'again'} a ${role}.`)
  if (isShown) out.line(`password  ${password}   (it is not kept and cannot be shown again)`)
  return exitCode.found
}

/** `chronovisor grpc-user remove`. */
export async function grpcUserRemoveCommand({ args, config, out }: Invocation): Promise<number> {
  const name = nameOf(args[0])
  const users = new Map(readUsers(config.stateDir))
  const removed = users.delete(name)
  if (removed) writeUsers(config.stateDir, users.values())
  if (out.isJson) out.document({ name, removed })
  else out.line(removed ? `User "${name}" is removed.` : `There is no user "${name}".`)
  return removed ? exitCode.found : exitCode.nothing
}

/** `chronovisor grpc-user list`. */
export async function grpcUserListCommand({ config, out }: Invocation): Promise<number> {
  const users = [...readUsers(config.stateDir).values()].map(({ name, role }) => ({ name, role }))
  if (out.isJson) out.document({ users })
  else if (users.length === 0) out.line('There are no users: calls over TCP are refused.')
  else
    out.lines(
      formatTable(
        [{ title: 'NAME' }, { title: 'ROLE' }],
        users.map(({ name, role }) => [name, role]),
      ),
    )
  return users.length === 0 ? exitCode.nothing : exitCode.found
}

function nameOf(name: string | undefined): string {
  if (name !== undefined && isUserName(name)) return name
  throw new CliError(`Cannot use the user name "${name ?? ''}": it must be up to 64 letters, digits and . _ @ -`)
}

function roleOf(role: unknown): Role {
  if (role === 'reader' || role === 'writer') return role
  throw new CliError(`Cannot add a user with the role "${String(role)}": --role must be reader or writer`)
}

async function passwordFromInput(): Promise<string> {
  const password = (await readAll(process.stdin)).replace(/\r?\n$/, '')
  if (password.length >= 8 && !/[\r\n]/.test(password)) return password
  throw new CliError('Cannot use the password on standard input: it must be one line of at least 8 characters')
}

function readUsers(stateDir: string): ReadonlyMap<string, GrpcUser> {
  if (!existsSync(stateDir)) {
    throw new CliError(`Cannot find the users: there is no state directory "${stateDir}" (--state-dir)`)
  }
  return explained(() => readCredentials(credentialsPath(stateDir)))
}

function writeUsers(stateDir: string, users: Iterable<GrpcUser>): void {
  explained(() => writeCredentials(credentialsPath(stateDir), users))
}

/** Lets what the caller can mend be told in one line. */
function explained<T>(act: () => T): T {
  try {
    return act()
  } catch (error) {
    const isPlain = error instanceof CredentialsFileError || (error instanceof Error && 'code' in error)
    throw isPlain ? new CliError(error.message, { cause: error }) : error
  }
}
