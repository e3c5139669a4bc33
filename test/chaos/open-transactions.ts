import { setTimeout as sleep } from 'node:timers/promises'
import type { ChaosCluster } from './chaos-cluster.ts'

const pauseMs = 300

/**
 * Keeps a writing transaction open in another database and a REPEATABLE READ reader open on the log, until the signal; begins again
 * when the server was away. Returns how many were begun.
 */
export async function holdTransactionsOpen(cluster: ChaosCluster, signal: AbortSignal): Promise<number> {
  let begun = 0
  const hold = async (database: 'elsewhere' | 'log', statements: readonly string[]) => {
    while (!signal.aborted) {
      await cluster.attempt(database, async (client) => {
        for (const statement of statements) await client.query(statement)
        begun += 1
        const broken = new Promise<void>((resolve) => client.once('end', () => resolve()))
        const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
        await Promise.race([broken, ended])
      })
      await sleep(pauseMs)
    }
  }
  await Promise.all([
    hold('elsewhere', ['create table if not exists held (n int)', 'begin', 'insert into held values (1)']),
    hold('log', ['begin isolation level repeatable read', 'select count(*) from pg_class']),
  ])
  return begun
}
