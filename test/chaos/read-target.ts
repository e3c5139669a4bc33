import pg from 'pg'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import type { LoggedLog } from './history.ts'
import type { TargetName } from './process-options.ts'
import { readOwnLog } from './read-log.ts'
import { readEmmett } from './rival-emmett.ts'
import { readMessageDb } from './rival-message-db.ts'

const readers = { ours: readOwnLog, emmett: readEmmett, 'message-db': readMessageDb } as const

/** Reads what a store has recorded, from its tables. */
export async function readTarget(target: TargetName, address: PostgresAddress): Promise<LoggedLog> {
  const client = new pg.Client({ ...address, connectionTimeoutMillis: 5_000 })
  await client.connect()
  try {
    await client.query('begin isolation level repeatable read read only')
    return await readers[target](client)
  } finally {
    await client.end()
  }
}
