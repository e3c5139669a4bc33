import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openPool } from '../../src/eventstore/connection-pool.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

describe('openPool()', () => {
  test('lends connections whose end is an error of the next query and of nothing else', async () => {
    const uncaught: unknown[] = []
    const note = (error: unknown) => uncaught.push(error)
    process.on('uncaughtException', note)
    const pool = openPool({ ...server.address('postgres'), max: 2 })
    try {
      const client = await pool.connect()
      const ended = new Promise((resolve) => client.once('end', resolve))
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
      await server.run('postgres', 'select pg_terminate_backend($1::int4)', [rows[0]?.pid])
      await ended
      await expect(client.query('select 1')).rejects.toThrow()
      client.release(true)
      expect(uncaught).toEqual([])
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    } finally {
      process.off('uncaughtException', note)
      await pool.end()
    }
  })
})
