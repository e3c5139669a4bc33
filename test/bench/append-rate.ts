import { randomUUID } from 'node:crypto'
import { accountModels } from '../support/account-projection.ts'
import { openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

// Appends per second, closed loop, on a scratch server: `node test/bench/append-rate.ts [SECONDS]`.

const seconds = Number(process.argv[2] ?? 3)
const payload = JSON.stringify({ owner: 'x'.repeat(270), tags: {} })

await using server = await ScratchPostgres.start()
for (const rows of [false, true]) {
  for (const clients of [1, 8, 32, 64]) await measure(clients, rows)
}

async function measure(clients: number, rows: boolean): Promise<void> {
  await using log = await openLog(await server.createDatabase(), { participants: rows ? [accountModels()] : [] })
  const latencies: number[] = []
  const first = log.head
  const end = performance.now() + seconds * 1_000
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let at = 0; performance.now() < end; at += 1) {
        const started = performance.now()
        const stream = `account-${client}-${at % 150}`
        const event = { eventId: randomUUID(), type: 'AccountOpened', schema: 1, data: `${payload} `, meta: '{}' }
        const owner = at >= 150 ? { ...event, data: payload.replace('xx', `${at}`) } : event
        await log.append([write(stream, [owner])])
        latencies.push(performance.now() - started)
      }
    }),
  )
  latencies.sort((a, b) => a - b)
  const events = Number(log.head.position - first.position)
  const commits = Number(log.head.commitNo - first.commitNo)
  const at = (share: number) => (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(2)
  console.log(
    `${rows ? 'one live row each' : 'plain events     '} clients ${String(clients).padStart(2)}: ` +
      `${Math.round(events / seconds)} events/s, ${Math.round(commits / seconds)} commits/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
  )
}
