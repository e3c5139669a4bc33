import pg from 'pg'
import type { PostgresAddress } from './postgres-address.ts'

const int8 = 20
const timestamptz = 1184

/** How values come back: int8 as bigint, timestamptz as text (microseconds matter), everything else as `pg` has it. */
const typeParsers = new pg.TypeOverrides()
typeParsers.setTypeParser(int8, BigInt)
typeParsers.setTypeParser(timestamptz, String)

const options = '-c timezone=UTC -c client_min_messages=warning'

/**
 * All that the writer does is by key. Its statements are planned once, when tables may still be empty and a scan looks cheap: that plan
 * must hold at any size.
 */
const byKeyOnly = [
  'plan_cache_mode=force_generic_plan',
  'enable_seqscan=off',
  'enable_hashjoin=off',
  'enable_mergejoin=off',
  'enable_bitmapscan=off',
  'enable_material=off',
  'enable_memoize=off',
  'jit=off',
]

/** The settings of the writer's connection. */
export function writerConfig(address: PostgresAddress): pg.ClientConfig {
  const settings = byKeyOnly.map((setting) => ` -c ${setting}`).join('')
  return { ...clientConfig(address, 'chronovisor writer'), options: `${options}${settings}` }
}

/** The settings of every connection to the log's database; times in UTC, so that a text form is one. */
export function clientConfig(address: PostgresAddress, name: string): pg.ClientConfig {
  return {
    ...address,
    application_name: name,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    types: typeParsers,
    options,
  }
}
