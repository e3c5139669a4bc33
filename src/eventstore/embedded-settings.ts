import { statfsSync } from 'node:fs'
import { totalmem } from 'node:os'

/** Beside postgresql.conf; the operator's, written only where there is none. */
export const localSettingsFile = 'local.conf'
/** Beside pg_ident.conf: who comes in by a login for reporting. */
export const loginMapFile = 'reporting-logins.conf'
/** What a new local.conf says. */
export const emptyLocalSettings = '# Settings of your own for the embedded PostgreSQL; read last, at every start.\n'
/** The role and database of the log, in the embedded server. */
export const embeddedRole = 'chronovisor'
/** Names the socket file only; no TCP port is opened. */
export const embeddedPort = 5432
/** A UNIX socket's path has 108 bytes in `sockaddr_un`, one of them for the end. */
const SOCKET_PATH_LIMIT_BYTES = 107
const MIB = 1024 * 1024

/** Refuses a directory whose socket path would not fit into a socket address; returns the path. */
export function postgresSocketPath(directory: string): string {
  const path = `${directory}/.s.PGSQL.${embeddedPort}`
  const sizeBytes = Buffer.byteLength(path)
  if (sizeBytes <= SOCKET_PATH_LIMIT_BYTES) return path
  throw new Error(
    `Cannot open the socket "${path}": its path has ${sizeBytes} bytes, a UNIX socket's may have ` +
      `${SOCKET_PATH_LIMIT_BYTES}; choose a shorter --socket-dir`,
  )
}

/**
 * postgresql.conf, written anew at every start. The durability settings are the log's promise ("ok" is on disk) and are
 * spelled out although they are PostgreSQL's defaults; an operator's local.conf comes last and may tune the rest.
 */
export function serverSettings(options: { readonly dataDir: string; readonly socketDir: string }): string {
  const settings: readonly (readonly [string, string])[] = [
    ['listen_addresses', ''],
    ['port', String(embeddedPort)],
    ['unix_socket_directories', `"${options.socketDir}"`],
    ['unix_socket_permissions', '0770'],
    ['max_connections', '100'],
    ['shared_buffers', `${between(totalmem() / 32, 32 * MIB, 256 * MIB)}MB`],
    ['max_wal_size', `${between(diskSizeBytes(options.dataDir) / 20, 256 * MIB, 4096 * MIB)}MB`],
    ['checkpoint_timeout', '15min'],
    ['fsync', 'on'],
    ['synchronous_commit', 'on'],
    ['full_page_writes', 'on'],
    ['wal_compression', 'pglz'],
    ['huge_pages', 'off'], // they belong to the domains of this host
    ['timezone', 'UTC'],
    ['log_timezone', 'UTC'],
    ['lc_messages', 'C'],
    ['log_line_prefix', '%m [%p] '],
    ['log_checkpoints', 'off'],
    ['log_min_error_statement', 'panic'], // statements and keys are content of the log and stay out of text files
    ['log_error_verbosity', 'terse'],
    ['log_parameter_max_length', '0'],
    ['log_parameter_max_length_on_error', '0'],
    ['cluster_name', 'chronovisor'],
  ]
  const lines = settings.map(([name, value]) => `${name} = ${quoted(value)}`)
  return [
    '# Written by chronovisor at every start; put settings of your own into local.conf beside this file.',
    ...lines,
    `include = '${localSettingsFile}'`,
    '',
  ].join('\n')
}

/** pg_hba.conf: whoever comes in is who the kernel says he is. */
export const hostBasedAccess = 'local all all peer map=chronovisor\n'

/** pg_ident.conf: root and the server's own user are the log's role; others are who an operator says, nobody else is anybody. */
export function identMap(serverUser: string): string {
  const users = [...new Set(['root', serverUser])]
  const lines = users.map((user) => `chronovisor "${user}" ${embeddedRole}\n`)
  return `${lines.join('')}include_if_exists ${loginMapFile}\n`
}

function quoted(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}

function between(bytes: number, least: number, most: number): number {
  return Math.round(Math.min(Math.max(bytes, least), most) / MIB)
}

function diskSizeBytes(directory: string): number {
  const { blocks, bsize } = statfsSync(directory)
  return blocks * bsize
}
