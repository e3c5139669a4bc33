import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientBase } from 'pg'

const pauseMs = 50

/**
 * Takes a session advisory lock, which lives as long as the connection; false where somebody else holds it for longer than `waitMs`. A
 * process that was killed holds its lock until the server has noticed.
 */
export async function takeAdvisoryLock(
  client: ClientBase,
  key: string,
  { waitMs, signal }: { readonly waitMs: number; readonly signal?: AbortSignal | undefined },
): Promise<boolean> {
  const deadline = performance.now() + waitMs
  for (;;) {
    const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1::int8) as locked', [key])
    if (rows[0]?.locked === true) return true
    if (performance.now() > deadline) return false
    await sleep(pauseMs, undefined, { signal })
  }
}
