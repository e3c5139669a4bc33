import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { EventStoreDBClient } from '@eventstore/db-client'
import * as v from 'valibot'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { serveGrpc } from '../support/grpc-kit.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

// A subscription of the official client, in a process of its own, to a log of many events: those that are there, then those that come.
//   node test/bench/grpc-million.ts [events]

const batchEvents = 1_000
const streams = 5_000
/** Of the events, so many come while the subscription stands. */
const livePart = 10

const clientReport = v.object({
  events: v.number(),
  outOfOrder: v.number(),
  cpuMs: v.number(),
  wallMs: v.number(),
  peakMemoryBytes: v.number(),
})

/** What a run found: every event counts once, `outOfOrder` those that did not follow the one before. */
export interface MillionReport extends Readonly<v.InferOutput<typeof clientReport>> {
  readonly serverCpuUsPerEvent: number
  readonly clientCpuUsPerEvent: number
  readonly serverPeakMemoryBytes: number
}

/** Fills a log, subscribes to it from the start, appends the rest meanwhile, and compares what came with what there is. */
export async function subscribeToMany(events: number): Promise<MillionReport> {
  await using postgres = await ScratchPostgres.start()
  await using store = await openLog(await postgres.createDatabase())
  const live = Math.floor(events / livePart)
  await fill(store, events - live - 1) // the start of the log is an event too
  await using grpc = await serveGrpc(store)
  const before = process.cpuUsage()
  const program = fileURLToPath(import.meta.url)
  const child = spawn(process.execPath, [program, 'client', grpc.server.target, String(events)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [output] = await Promise.all([text(child.stdout), fill(store, live), once(child, 'exit')])
  const used = process.cpuUsage(before)
  if (grpc.faults.length > 0) throw new AggregateError(grpc.faults, 'The server failed')
  const report = v.parse(v.pipe(v.string(), v.parseJson(), clientReport), output)
  return {
    ...report,
    serverCpuUsPerEvent: (used.user + used.system) / events,
    clientCpuUsPerEvent: (report.cpuMs * 1_000) / events,
    serverPeakMemoryBytes: process.resourceUsage().maxRSS * 1_024,
  }
}

async function fill(store: EventStore, events: number): Promise<void> {
  for (let done = 0; done < events; done += batchEvents) {
    const count = Math.min(batchEvents, events - done)
    const writes = Array.from({ length: count }, (_, at) => {
      const number = done + at
      return write(`order-${number % streams}`, [newEvent('OrderPlaced', { number, text: 'x'.repeat(250) })])
    })
    await store.append(writes)
  }
}

async function subscribe(target: string, events: number): Promise<v.InferOutput<typeof clientReport>> {
  const client = new EventStoreDBClient({ endpoint: target }, { insecure: true })
  const subscription = client.subscribeToAll()
  let next = 0n
  let seen = 0
  let outOfOrder = 0
  for await (const { event } of subscription) {
    const position = event?.position.commit
    if (position !== next) outOfOrder += 1
    next = (position ?? next) + 1n
    seen += 1
    if (seen === events) break
  }
  const { user, system } = process.cpuUsage()
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1_024
  return { events: seen, outOfOrder, cpuMs: (user + system) / 1_000, wallMs: performance.now(), peakMemoryBytes }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , first = '1000000', target = '', count = ''] = process.argv
  if (first === 'client') {
    process.stdout.write(JSON.stringify(await subscribe(target, Number(count))))
    process.exit(0)
  }
  const report = await subscribeToMany(Number(first))
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  process.exitCode = report.outOfOrder === 0 && report.events === Number(first) ? 0 : 1
}
