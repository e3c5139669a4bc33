import pg from 'pg'
import type { PostgresAddress } from './postgres-address.ts'

const int8 = 20
const timestamptz = 1184

/** How values come back: int8 as bigint, timestamptz as text (microseconds matter), everything else as `pg` has it. */
const typeParsers = new pg.TypeOverrides()
typeParsers.setTypeParser(int8, BigInt)
typeParsers.setTypeParser(timestamptz, String)

/** The settings of every connection to the log's database; times in UTC, so that a text form is one. */
export function clientConfig(address: PostgresAddress, name: string): pg.ClientConfig {
  return {
    ...address,
    application_name: name,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    types: typeParsers,
    options: '-c timezone=UTC -c client_min_messages=warning',
  }
}
