import * as v from 'valibot'
import { type Bar, barOf } from './bars.ts'
import { appendLoop, measureGrowth } from './es-growth.ts'
import { kitBars } from './es-kit-bars.ts'
import { runKit } from './es-kit-run.ts'
import { openNeighbours } from './es-neighbours.ts'
import { whyNoPeers } from './es-peers.ts'
import { runProgram } from './es-program.ts'
import { temporaryFile } from './temporary-file.ts'
import { measureHashing, measureVerify } from './es-proof.ts'
import { BenchServer } from './es-server.ts'
import { measureRebuild } from './rebuild.ts'
import { openLog } from '../support/log-kit.ts'
import type { BenchOptions } from './smoke.ts'

type Section = (server: BenchServer, options: BenchOptions) => Promise<readonly Bar[]>

/** The parts of the bench by the bars of the design that they measure. */
const sections: readonly { readonly bars: string; readonly measure: Section }[] = [
  { bars: '1, 2, 3 and 4', measure: kitSection },
  { bars: '4, 9 and 10: a log that grows', measure: growthSection },
  { bars: '5 and 7: delivery, neighbours', measure: deliverySection },
  { bars: '6: chaos', measure: chaosSection },
  { bars: '8: rebuild', measure: rebuildSection },
  { bars: '10: mutations', measure: mutationSection },
]

/** The bars of the event store, ours beside the rivals in one PostgreSQL; `only` names sections by their bars. */
export async function eventstore(options: BenchOptions): Promise<readonly Bar[]> {
  await using server = await BenchServer.start()
  options.say(`${await server.version()}; ${server.settings.join(' ')}`)
  const found: Bar[] = []
  for (const { bars, measure } of sections) {
    if (options.only !== undefined && !bars.includes(options.only)) continue
    options.say(`bars ${bars}`)
    found.push(...(await measure(server, options)))
  }
  return found
}

async function kitSection({ dsn }: BenchServer, { rounds, seconds, say }: BenchOptions): Promise<readonly Bar[]> {
  const why = whyNoPeers()
  if (why !== null) {
    say(`no peer: ${why}`)
    return []
  }
  const report = await runKit({ dsn, rounds, seconds, bars: ['1', '2', '3', '4'], say })
  const batch = report.results.flatMap((each) => (each.adapter === 'chronovisor' ? (each.batchMany?.perSec ?? []) : []))
  const hashUs = measureHashing(100)
  const overhead = batch.map((perSecond) => (hashUs / (1e6 / perSecond - hashUs)) * 100)
  const limit = { atMost: 35 }
  return [
    ...kitBars(report),
    ...(batch.length === 0
      ? []
      : [barOf({ id: '10 hashing on top of a batch', unit: '%', ours: overhead, peer: [], limit })]),
  ]
}

async function growthSection(server: BenchServer, { seconds, quick, say }: BenchOptions): Promise<readonly Bar[]> {
  const { name, address } = await server.createDatabase()
  const sizes = quick ? [20_000, 200_000] : [1_000_000, 10_000_000]
  const settle = () => server.settle(name)
  const [small, large] = await measureGrowth(address, { sizes, seconds: 5 * seconds, say, settle })
  if (small === undefined || large === undefined) throw new Error('Cannot compare: a size was not measured')
  const verified = await measureVerify(address)
  await server.drop(name)
  const sized = `at ${large.events} events`
  const beside = { peerName: `ours at ${small.events}` }
  const growth = { unit: 'us', target: { atMost: 1.3 }, ...beside }
  const manyUs = (perSecond: number) => [1e6 / perSecond]
  const read = { unit: 'events/s', ours: [large.readPerSecond] }
  return [
    barOf({ id: `9 append, 1 client, ${sized}`, ours: [large.appendUs], peer: [small.appendUs], ...growth }),
    barOf({
      id: `9 append, 32 clients, ${sized}`,
      ours: manyUs(large.perSecond),
      peer: manyUs(small.perSecond),
      ...growth,
    }),
    barOf({ id: `4 catch-up ${sized}`, ...read, peer: [small.readPerSecond], target: { atLeast: 0.9 }, ...beside }),
    barOf({ id: `4 catch-up ${sized}: absolute`, ...read, peer: [], limit: { atLeast: 150_000 } }),
    barOf({
      id: '10 verify, of one core',
      unit: 'events/s',
      ours: [verified],
      peer: [],
      limit: { atLeast: 250_000 },
    }),
  ]
}

const deliverySchema = v.object({ p50Ms: v.number(), p99Ms: v.number(), lost: v.number() })

async function deliverySection(server: BenchServer, { rounds, quick, seconds, say }: BenchOptions) {
  const kept: Record<'p50' | 'p99' | 'besideP99' | 'rate' | 'besideRate', number[]> = {
    p50: [],
    p99: [],
    besideP99: [],
    rate: [],
    besideRate: [],
  }
  let lost = 0
  for (let round = 0; round < rounds; round += 1) {
    // Every other round begins beside the neighbours.
    for (const beside of round % 2 === 0 ? [false, true] : [true, false]) {
      const { name, address } = await server.createDatabase()
      const words = ['--json', '--seconds', quick ? '2' : '10', '--database', address.connectionString]
      const delivery = v.parse(
        deliverySchema,
        JSON.parse(await runProgram('delivery.ts', beside ? [...words, '--neighbours'] : words)),
      )
      lost += delivery.lost
      const perSecond = await appendRate(server, { beside, seconds: 3 * seconds })
      kept[beside ? 'besideP99' : 'p99'].push(delivery.p99Ms)
      kept[beside ? 'besideRate' : 'rate'].push(perSecond)
      if (!beside) kept.p50.push(delivery.p50Ms)
      await server.drop(name)
      say(
        `round ${round + 1}${beside ? ' beside neighbours' : ''}: p99 ${delivery.p99Ms} ms, ${perSecond.toFixed(0)}/s`,
      )
    }
  }
  const peerName = 'ours alone'
  const ms = (id: string, ours: readonly number[], limit: { readonly atMost: number }) =>
    barOf({ id, unit: 'ms', ours, peer: [], limit })
  return [
    ms('5 acknowledgement to handler at 1,000/s: p50', kept.p50, { atMost: 2 }),
    ms('5 acknowledgement to handler at 1,000/s: p99', kept.p99, { atMost: 10 }),
    barOf({ id: '5, 7 events lost', unit: 'count', ours: [lost], peer: [], limit: { atMost: 0 } }),
    barOf({
      id: '7 delivery p99 beside open transactions',
      unit: 'ms',
      ours: kept.besideP99,
      peer: kept.p99,
      peerName,
      target: { atMost: 1.2 },
    }),
    barOf({
      id: '7 appends beside open transactions, 32 clients',
      unit: 'events/s',
      ours: kept.besideRate,
      peer: kept.rate,
      peerName,
      target: { atLeast: 0.9 },
    }),
  ]
}

async function appendRate(
  server: BenchServer,
  { beside, seconds }: { readonly beside: boolean; readonly seconds: number },
): Promise<number> {
  const { name, address } = await server.createDatabase()
  try {
    await using store = await openLog(address)
    await appendLoop(store, { clients: 32, seconds: seconds / 4 })
    await using neighbours = new AsyncDisposableStack()
    if (beside) neighbours.use(await openNeighbours(address))
    return (await appendLoop(store, { clients: 32, seconds })).perSecond
  } finally {
    await server.drop(name)
  }
}

const chaosSchema = v.array(
  v.object({ acknowledged: v.number(), findings: v.object({ counts: v.record(v.string(), v.number()) }) }),
)

async function chaosSection(_server: BenchServer, { quick, say }: BenchOptions): Promise<readonly Bar[]> {
  const minutes = quick ? 0.3 : 3
  say(`npm run chaos -- log --seed 1 --minutes ${minutes}; the ten seeds: npm run chaos -- all`)
  await using file = await temporaryFile()
  const words = ['log', '--seed', '1', '--minutes', String(minutes), '--json', file.path]
  await runProgram('../chaos/run.ts', words)
  const runs = v.parse(chaosSchema, JSON.parse(await file.read()))
  const findings = runs.reduce((sum, run) => sum + Object.values(run.findings.counts).reduce((a, b) => a + b, 0), 0)
  return [
    barOf({ id: '6 chaos: findings', unit: 'count', ours: [findings], peer: [], limit: { atMost: 0 } }),
    barOf({
      id: '6 chaos: acknowledgements checked',
      unit: 'count',
      ours: [runs.reduce((sum, run) => sum + run.acknowledged, 0)],
      peer: [],
    }),
  ]
}

async function rebuildSection(_server: BenchServer, { quick, say }: BenchOptions): Promise<readonly Bar[]> {
  const figures = await measureRebuild(quick ? 50_000 : 1_000_000)
  say(
    Object.entries(figures)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  )
  const rows = [
    { id: 'events', unit: 'events/s', value: figures.eventsPerSecond, limit: { atLeast: 60_000 } },
    { id: 'failed queries', unit: 'count', value: figures.failedQueries, limit: { atMost: 0 } },
    { id: 'switch', unit: 'ms', value: figures.lockedMs, limit: { atMost: 50 } },
    { id: 'differences', unit: 'count', value: Number(figures.differences), limit: { atMost: 0 } },
  ]
  return rows.map(({ id, unit, value, limit }) =>
    barOf({ id: `8 rebuild: ${id}`, unit, ours: [value], peer: [], limit }),
  )
}

async function mutationSection(_server: BenchServer, { quick, say }: BenchOptions): Promise<readonly Bar[]> {
  const count = quick ? 200 : 10_000
  const printed = await runProgram('mutations.ts', ['--count', String(count)])
  say(printed.trimEnd())
  const [, tried = '0', found = '0', located = '0'] = /^all\s+(\d+)\s+(\d+)\s+(\d+)/m.exec(printed) ?? []
  const share = (value: string) => [(Number(value) / Number(tried)) * 100]
  const limit = { atLeast: 100 }
  return [
    barOf({ id: `10 mutations of ${tried}: found`, unit: '%', ours: share(found), peer: [], limit }),
    barOf({ id: `10 mutations of ${tried}: located`, unit: '%', ours: share(located), peer: [], limit }),
  ]
}
