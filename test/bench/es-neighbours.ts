import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'

/**
 * Opens what holds the visibility horizon of the whole server back: a writing transaction in another database, and a REPEATABLE READ
 * reader of the log itself. They stand until disposal.
 */
export async function openNeighbours(address: PostgresAddress): Promise<AsyncDisposable> {
  const other = `neighbour_${randomBytes(4).toString('hex')}`
  const reader = new pg.Client(address)
  await reader.connect()
  await reader.query(`create database ${other}`)
  const writer = new pg.Client(inDatabase(address, other))
  await writer.connect()
  await writer.query('create table held (number int)')
  await writer.query('begin')
  await writer.query('insert into held values (1)')
  await reader.query('begin isolation level repeatable read')
  await reader.query('select count(*) from event')
  return {
    async [Symbol.asyncDispose]() {
      await writer.end()
      await reader.query('rollback')
      await reader.query(`drop database ${other} with (force)`)
      await reader.end()
    },
  }
}

function inDatabase(address: PostgresAddress, database: string): PostgresAddress {
  if (address.connectionString === undefined) return { ...address, database }
  const url = new URL(address.connectionString)
  url.pathname = `/${database}`
  return { connectionString: url.href }
}
