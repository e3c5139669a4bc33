import type pg from 'pg'

/** Lends one connection of a pool; one on which something failed is not given to others. */
export async function withClient<T>(pool: pg.Pool, use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  const ignore = () => undefined // a connection that breaks makes the query reject
  client.on('error', ignore)
  let failed = true
  try {
    const result = await use(client)
    failed = false
    return result
  } finally {
    client.removeListener('error', ignore)
    client.release(failed)
  }
}
