import { Client } from 'pg'
import type { PostgresAddress } from './postgres-address.ts'

/** What NULLS NOT DISTINCT needs, by which the chain of commits is held. */
const OLDEST_MAJOR = 15
const CONNECT_TIMEOUT_MS = 10_000
const SCHEMES = ['postgres:', 'postgresql:']

/** A PostgreSQL that the operator runs: checked once, never started, stopped or configured by us. */
export interface GivenPostgres {
  readonly connection: PostgresAddress
  /** As the server says it, such as "15.18". */
  readonly serverVersion: string
}

/**
 * Connects to the URL of `--database` and checks that the server is new enough. Throws, naming the server without its
 * password, where the URL is no PostgreSQL URL, nobody answers within ten seconds, or the version is too old.
 */
export async function openGivenPostgres(url: string): Promise<GivenPostgres> {
  const name = withoutPassword(url)
  const connection: PostgresAddress = { connectionString: url }
  const client = new Client({
    ...connection,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: 'chronovisor',
  })
  client.on('error', () => undefined) // a query that is cut off rejects; nothing else is under way here
  try {
    await client.connect()
    const { rows } = await client.query<{ server_version: string }>('show server_version')
    const serverVersion = rows[0]?.server_version ?? ''
    if (Number.parseInt(serverVersion, 10) >= OLDEST_MAJOR) return { connection, serverVersion }
    throw new Error(`it is PostgreSQL "${serverVersion}", the event log needs ${OLDEST_MAJOR} or newer`)
  } catch (error) {
    throw new Error(`Cannot use the database ${name}: ${reasonOf(error)}`, { cause: error })
  } finally {
    await client.end()
  }
}

function withoutPassword(url: string): string {
  if (!URL.canParse(url) || !SCHEMES.includes(new URL(url).protocol)) {
    const quoted = url.includes('@') ? 'the URL given' : `"${url}"`
    throw new Error(`Cannot use ${quoted} as --database: it must read postgres://user@host:port/database`)
  }
  const parsed = new URL(url)
  if (parsed.password !== '') parsed.password = '***'
  if (parsed.searchParams.has('password')) parsed.searchParams.set('password', '***')
  return parsed.href
}

/** Node reports several failed addresses as one error without a message of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
