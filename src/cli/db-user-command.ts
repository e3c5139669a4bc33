import { statSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { isOsUserName, type LoginMapping, readLoginMap, writeLoginMap } from '../eventstore/login-map.ts'
import { readerRole } from '../eventstore/log-roles.ts'
import { clientConfig } from '../eventstore/postgres-client.ts'
import { dropLogin, isLoginName, makeLogin, readLogins } from '../eventstore/reporting-logins.ts'
import { CliError } from './cli-error.ts'
import { type DaemonFile, isRunning, readDaemonFile } from './daemon-file.ts'
import { exitCode } from './exit-code.ts'
import type { Invocation } from './invocation.ts'
import { formatTable } from './text-table.ts'

const unless = { connections: '5', timeout: '60', idle: '60' }

/** `chronovisor db-user add`: a login of the embedded server for a reporting tool, for one user of this machine. */
export async function dbUserAddCommand({ args, options, config, out }: Invocation): Promise<number> {
  const name = nameOf(args[0])
  const login = {
    name,
    connections: numberOf('connections', options['connections'] ?? unless.connections),
    statementS: numberOf('timeout', options['timeout'] ?? unless.timeout),
    idleS: numberOf('idle', options['idle'] ?? unless.idle),
  }
  const daemon = embeddedOf(config)
  const osUser = osUserOf(options['osUser'] ?? mappedTo(daemon, name) ?? name)
  await withServer(daemon, async (client) => {
    await makeLogin(client, login)
    await changeMap(client, daemon, (map) => [...map.filter((each) => each.name !== name), { name, osUser }])
  })
  const { host = '', port = 0, database = '' } = daemon.database
  if (out.isJson) out.document({ ...login, osUser, host, port, database })
  else {
    const { gid } = statSync(host)
    out.lines([
      `User ${osUser} of this machine may read as ${name}:`,
      `  psql -h ${host} -p ${port} -U ${name} ${database}`,
      `It must be in group ${gid}, which the socket's directory belongs to: usermod -aG $(getent group ${gid} | cut -d: -f1) ${osUser}`,
    ])
  }
  return exitCode.found
}

/** `chronovisor db-user remove`: 1 where there is no such login. */
export async function dbUserRemoveCommand({ args, config }: Invocation): Promise<number> {
  const name = nameOf(args[0])
  const daemon = embeddedOf(config)
  return await withServer(daemon, async (client) => {
    await changeMap(client, daemon, (map) => map.filter((each) => each.name !== name))
    return (await dropLogin(client, name)) ? exitCode.found : exitCode.nothing
  })
}

/** `chronovisor db-user list`: 1 where there are none. */
export async function dbUserListCommand({ config, out }: Invocation): Promise<number> {
  const daemon = embeddedOf(config)
  const logins = await withServer(daemon, async (client) => await readLogins(client))
  const shown = logins.map((login) => ({ ...login, osUser: mappedTo(daemon, login.name) }))
  if (out.isJson) out.document({ logins: shown })
  else if (shown.length > 0)
    out.lines(
      formatTable(
        ['NAME', 'USER', 'CONNECTIONS', 'STATEMENT', 'IDLE'].map((title) => ({ title })),
        shown.map(({ name, osUser, connections, statementS, idleS }) => [
          ...[name, osUser ?? '-', String(connections), `${statementS} s`, `${idleS} s`],
        ]),
      ),
    )
  return shown.length === 0 ? exitCode.nothing : exitCode.found
}

function nameOf(name: string | undefined): string {
  if (name !== undefined && isLoginName(name)) return name
  throw new CliError(
    `Cannot use the login name "${name ?? ''}": it must be up to 63 lower-case letters, digits and _, and none of the server's own`,
  )
}

function osUserOf(user: unknown): string {
  if (typeof user === 'string' && isOsUserName(user)) return user
  throw new CliError(`Cannot let the user ${JSON.stringify(user)} in: that is no name of a user`)
}

/** The user of this machine whom the map knows for a login. */
function mappedTo(daemon: DaemonFile, login: string): string | null {
  return readLoginMap(dataDirOf(daemon)).find(({ name }) => name === login)?.osUser ?? null
}

function numberOf(option: string, value: unknown): number {
  const number = Number(value)
  if (Number.isInteger(number) && number >= 1 && number <= 86_400) return number
  throw new CliError(`Cannot use --${option} "${String(value)}": it must be a whole number from 1 to 86400`)
}

/** The daemon whose embedded server it is about. Throws {@link CliError} where the server is the operator's own. */
function embeddedOf(config: Invocation['config']): DaemonFile {
  const daemon = config.database === null ? readDaemonFile(config.socketDir) : null
  if (daemon?.database.connectionString !== undefined || config.database !== null) {
    throw new CliError(
      `Cannot change logins: the server is not the embedded one; there, run: create role NAME login password '…' in role ${readerRole}; alter role NAME set default_transaction_read_only = on`,
    )
  }
  if (daemon !== null && isRunning(daemon)) return daemon
  throw new CliError(`Cannot change logins: no daemon runs for "${config.socketDir}" (--socket-dir)`)
}

function dataDirOf({ stateDir }: DaemonFile): string {
  return join(stateDir, 'postgresql', 'data')
}

async function changeMap(
  client: pg.Client,
  daemon: DaemonFile,
  change: (map: readonly LoginMapping[]) => readonly LoginMapping[],
): Promise<void> {
  const dataDir = dataDirOf(daemon)
  writeLoginMap(dataDir, change(readLoginMap(dataDir)))
  await client.query('select pg_reload_conf()')
}

async function withServer<T>(daemon: DaemonFile, act: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(clientConfig(daemon.database, 'chronovisor cli'))
  client.on('error', () => undefined) // a query that is cut off rejects
  try {
    await client.connect()
    return await act(client)
  } catch (error) {
    const isPlain = error instanceof Error && 'code' in error
    throw isPlain ? new CliError(`Cannot change logins: ${error.message}`, { cause: error }) : error
  } finally {
    await client.end()
  }
}
