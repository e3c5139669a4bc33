import pg from 'pg'

/**
 * Makes a pool whose connections may break at any time, idle or lent: who uses one hears of it by the query that rejects, an idle one is
 * replaced. `pg` itself takes its listener away from a connection that it lends, and an error nobody listens to would end the process.
 */
export function openPool(config: pg.PoolConfig): pg.Pool {
  const ignore = () => undefined
  return new pg.Pool(config).on('error', ignore).on('connect', (client) => client.on('error', ignore))
}
