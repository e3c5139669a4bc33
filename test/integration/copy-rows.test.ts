import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { copyRows } from '../../src/eventstore/copy-rows.ts'
import { copyStream } from '../../src/eventstore/copy-stream.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

let server: ScratchPostgres
let pool: pg.Pool
beforeAll(async () => {
  server = await ScratchPostgres.start()
  pool = new pg.Pool({ ...(await server.createDatabase()), max: 1 })
  await pool.query(`create function told(n int) returns int language plpgsql as $$
    begin raise warning 'row %', n; return n; end $$`)
}, 60_000)
afterAll(async () => {
  await pool.end()
  await server[Symbol.asyncDispose]()
})

const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1)

async function numbers(select: string, maxBytes = Infinity) {
  return await copyRows(pool, select, { maxBytes, read: (columns) => columns.int4() })
}

async function streamed(select: string): Promise<number[]> {
  const client = await pool.connect()
  try {
    const rows = await Array.fromAsync(copyStream(client, select))
    return rows.flat().map((row) => row.readInt32BE(6))
  } finally {
    client.release()
  }
}

describe('copyRows() and copyStream()', () => {
  test('give nothing, one row, and many more than the socket gives at once', async () => {
    for (const count of [0, 1, 50_000]) {
      const select = `select n from generate_series(1, ${count}) as s (n)`
      expect(await numbers(select)).toEqual({ rows: upTo(count), isCut: false })
      expect(await streamed(select)).toEqual(upTo(count))
    }
  })

  test('give rows that are longer than what the socket gives at once, byte for byte', async () => {
    const lengths = [1, 70_000, 3_000_000, 0, 5]
    const select = `select convert_to(repeat('x', n), 'UTF8') from unnest('{${lengths.join()}}'::int[]) as s (n)`
    const { rows } = await copyRows(pool, select, { maxBytes: Infinity, read: (columns) => columns.bytes() })
    expect(rows.map((row) => row?.length)).toEqual(lengths)
    expect(rows.every((row) => row?.every((byte) => byte === 0x78))).toBe(true)
  })

  test('leave out what is over the limit of bytes, but never the first row', async () => {
    const select = 'select n from generate_series(1, 1000) as s (n)'
    expect(await numbers(select, 35)).toEqual({ rows: [1, 2, 3], isCut: true })
    expect(await numbers(select, 1)).toEqual({ rows: [1], isCut: true })
  })

  test('go on where the server says something between the rows', async () => {
    const select = 'select told(n) from generate_series(1, 500) as s (n)'
    expect((await numbers(select)).rows).toEqual(upTo(500))
    expect(await streamed(select)).toEqual(upTo(500))
  })

  test('fail where the server does, in the middle too, and leave the connection usable', async () => {
    await expect(numbers('select n from nowhere')).rejects.toThrow('relation "nowhere" does not exist')
    const select = 'select 1 / (20000 - n) from generate_series(1, 30000) as s (n)'
    await expect(numbers(select)).rejects.toThrow('division by zero')
    await expect(streamed(select)).rejects.toThrow('division by zero')
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('refuse a row that is not what its reader takes it for, after the rest has gone by', async () => {
    await expect(numbers("select 'three'::text")).rejects.toThrow('a column has 5 bytes, it must have 4')
    await expect(numbers('select 1, 2')).rejects.toThrow('8 of its 18 bytes belong to no column')
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('leave a connection as they found it, however often they had it', async () => {
    const listenersOf = async () => {
      const client = await pool.connect()
      const { stream } = client.connection
      client.release()
      return ['data', 'close', 'end', 'error'].map((name) => [name, ...stream.listeners(name)])
    }
    const before = await listenersOf()
    for (let time = 0; time < 30; time += 1) await numbers('select 1')
    expect(await listenersOf()).toEqual(before)
  })
})
