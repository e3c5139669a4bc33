import pg from 'pg'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'

/** Connections of another process, as far as the database can tell. */
export function poolOf(address: PostgresAddress): pg.Pool {
  const pool = new pg.Pool({ ...clientConfig(address, 'chronovisor test'), max: 4 })
  pool.on('error', () => undefined)
  return pool
}
