import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { DatabaseSource } from '../../src/eventstore/database-source.ts'
import { sha256Into } from '../../src/eventstore/sha256.ts'
import { verifyLog } from '../../src/eventstore/verify-log.ts'
import type { NewEvent } from '../../src/eventstore/recorded-event.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

/**
 * How many events a second of one core's time are verified: `node test/bench/verify-rate.ts --events 1000000`. Beside it what the four
 * hashes of an event cost alone in the same process, so that runs on a busy machine can be compared.
 */
const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '300000' },
    batch: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '5' },
  },
})
const events = Number(values.events)
const batch = Number(values.batch)
const streams = 5_000
const note = 'x'.repeat(250)

/** Data of 292 bytes. */
function eventAt(n: number): NewEvent {
  const data = `{"n":${String(n).padStart(12, ' ')},"note":"${note}","ok":true}`
  return { ...newEvent(`Type${n % 10}`), data: data.padEnd(292, ' ') }
}

function cpuUs(from: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(from)
  return user + system
}

function hashesUs(): number {
  const [data, meta, leaf, node, out] = [
    randomBytes(292),
    randomBytes(2),
    randomBytes(210),
    randomBytes(65),
    Buffer.alloc(32),
  ]
  const from = process.cpuUsage()
  for (let n = 0; n < events; n += 1) for (const bytes of [data, meta, leaf, node]) sha256Into(out, 0, bytes)
  return cpuUs(from) / events
}

await using server = await ScratchPostgres.start()
const address = await server.createDatabase()
{
  await using log = await openLog(address)
  for (let n = 0; n < events; n += batch) {
    const ofStream = new Map<string, NewEvent[]>()
    for (let at = n; at < n + batch; at += 1) {
      const stream = `domain-${(at * 7_919) % streams}-0000-4000-8000-000000000001`
      const held = ofStream.get(stream)
      if (held === undefined) ofStream.set(stream, [eventAt(at)])
      else held.push(eventAt(at))
    }
    await log.append([...ofStream].map(([stream, list]) => write(stream, list)))
  }
}
const rates: number[] = []
for (let round = 0; round < Number(values.rounds); round += 1) {
  const hashing = hashesUs()
  await using source = await DatabaseSource.open(address)
  const [from, startedMs] = [process.cpuUsage(), performance.now()]
  const report = await verifyLog(source)
  const perEvent = cpuUs(from) / Number(report.events)
  if (report.count > 0) throw new Error(`The log is not clean: ${report.findings[0]?.text ?? ''}`)
  rates.push(1e6 / perEvent)
  const wall = Number(report.events) / ((performance.now() - startedMs) / 1000)
  process.stdout.write(
    `${Math.round(1e6 / perEvent)} events/s per core (${perEvent.toFixed(2)} us an event, its four hashes alone ${hashing.toFixed(2)} us), ${Math.round(wall)} events/s by the clock\n`,
  )
}
const sorted = rates.toSorted((a, b) => a - b)
process.stdout.write(
  `median ${Math.round(sorted[sorted.length >> 1] ?? 0)}, best ${Math.round(sorted.at(-1) ?? 0)} events/s per core over ${events} events in commits of ${batch}\n`,
)
