import { createHmac, randomBytes } from 'node:crypto'
import { status } from '@grpc/grpc-js'
import { BoundedMap } from '../eventstore/bounded-map.ts'
import type { CallPeer, ConnectionPeer } from './call-peer.ts'
import { CallRefusedError } from './call-refused-error.ts'
import {
  anonymousName,
  CredentialsFileError,
  credentialsVersion,
  type GrpcUser,
  readCredentials,
} from './credentials-file.ts'
import { type PasswordHash, passwordHash } from './password-hash.ts'

const maxRemembered = 1_000
/** Passwords that are checked at the same time, and that wait for it: each check costs some 50 ms and 16 MiB. */
const maxChecks = 2
const maxWaiting = 32
/** User name and password of a caller, as sent. */
const maxHeaderChars = 2_048

/** Says who calls: by the credentials of the call (HTTP basic authentication), else by its connection, else as `anonymous`. */
export class Authenticator {
  readonly #path: string
  readonly #warn: (message: string) => void
  // Passwords are not kept: what was right once is remembered by a keyed hash, until the file changes.
  readonly #key = randomBytes(32)
  #right = new BoundedMap<string, GrpcUser>(maxRemembered)
  #users: ReadonlyMap<string, GrpcUser> = new Map()
  #version: string | null = null
  #checks = 0
  readonly #waiting: (() => void)[] = []
  #decoy: Promise<PasswordHash> | null = null

  constructor({ path, warn }: { readonly path: string; readonly warn: (message: string) => void }) {
    this.#path = path
    this.#warn = warn
  }

  /** Throws {@link CallRefusedError} UNAUTHENTICATED for wrong or missing credentials. */
  async callPeer(authorization: string | undefined, connection: ConnectionPeer): Promise<CallPeer> {
    if (authorization !== undefined) return await this.#named(authorization, connection)
    const { actor, role } = connection
    if (role !== null) return { actor, role }
    const anonymous = this.#current().get(anonymousName)
    if (anonymous === undefined) {
      throw refused(
        'Cannot serve the call: it has no credentials. Over TCP a user and a password are needed ("chronovisor grpc-user add"); ' +
          '@eventstore/db-client sends them over TLS only (tls=true&tlsCAFile=…)',
      )
    }
    return { actor: { ...actor, program: `grpc:${anonymousName}`, authentication: 'none' }, role: anonymous.role }
  }

  async #named(authorization: string, { actor }: ConnectionPeer): Promise<CallPeer> {
    if (authorization.length > maxHeaderChars) throw refused('Cannot serve the call: its credentials are too long')
    const users = this.#current()
    const known = createHmac('sha256', this.#key).update(authorization).digest('base64')
    const user = this.#right.get(known) ?? (await this.#checked(authorization, users))
    if (this.#users === users) this.#right.set(known, user)
    return { actor: { ...actor, program: `grpc:${user.name}`, authentication: 'basic' }, role: user.role }
  }

  async #checked(authorization: string, users: ReadonlyMap<string, GrpcUser>): Promise<GrpcUser> {
    const [scheme = '', encoded = ''] = authorization.split(' ')
    const pair = Buffer.from(encoded, 'base64').toString()
    const colon = pair.indexOf(':')
    if (scheme.toLowerCase() !== 'basic' || colon === -1) {
      throw refused('Cannot serve the call: its credentials are not those of HTTP basic authentication')
    }
    const user = users.get(pair.slice(0, colon))
    // An unknown name costs as much time as a wrong password, and gets the same answer.
    this.#decoy ??= passwordHash.make('')
    const hash = user?.hash ?? (await this.#decoy)
    const matches = await this.#inTurn(() => passwordHash.matches(pair.slice(colon + 1), hash))
    if (user?.hash === undefined || user.hash === null || !matches) {
      throw refused('Cannot serve the call: the user or the password is wrong')
    }
    return user
  }

  async #inTurn<T>(check: () => Promise<T>): Promise<T> {
    if (this.#checks >= maxChecks) {
      if (this.#waiting.length >= maxWaiting) {
        throw new CallRefusedError(
          status.RESOURCE_EXHAUSTED,
          'Cannot serve the call: too many passwords are to be checked',
        )
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    } else {
      this.#checks += 1
    }
    try {
      return await check()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#checks -= 1
      else next()
    }
  }

  /** The users as the file has them now. A file that cannot be used lets nobody in. */
  #current(): ReadonlyMap<string, GrpcUser> {
    const version = credentialsVersion(this.#path)
    if (version === this.#version) return this.#users
    this.#version = version
    this.#right = new BoundedMap(maxRemembered)
    this.#users = new Map()
    try {
      this.#users = readCredentials(this.#path)
    } catch (error) {
      if (!(error instanceof CredentialsFileError)) throw error
      this.#warn(error.message)
    }
    return this.#users
  }
}

function refused(message: string): CallRefusedError {
  return new CallRefusedError(status.UNAUTHENTICATED, message)
}
