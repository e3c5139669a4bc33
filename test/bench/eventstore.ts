import { type Bar, barOf } from './bars.ts'
import { measureGrowth } from './es-growth.ts'
import { kitBars } from './es-kit-bars.ts'
import { runKit } from './es-kit-run.ts'
import { whyNoPeers } from './es-peers.ts'
import { BenchServer } from './es-server.ts'
import type { BenchOptions } from './smoke.ts'

type Section = (server: BenchServer, options: BenchOptions) => Promise<readonly Bar[]>

/** The parts of the bench by the bars of the design that they measure. */
const sections: readonly { readonly bars: string; readonly measure: Section }[] = [
  { bars: '1, 2, 3 and 4', measure: kitSection },
  { bars: '4 and 9: a log that grows', measure: growthSection },
]

/** The bars of the event store, ours beside the rivals in one PostgreSQL. */
export async function eventstore(options: BenchOptions): Promise<readonly Bar[]> {
  await using server = await BenchServer.start()
  options.say(`${await server.version()}; ${server.settings.join(' ')}`)
  const found: Bar[] = []
  for (const { bars, measure } of sections) {
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
  return kitBars(await runKit({ dsn, rounds, seconds, bars: ['1', '2', '3', '4'], say }))
}

async function growthSection(server: BenchServer, { seconds, quick, say }: BenchOptions): Promise<readonly Bar[]> {
  const { name, address } = await server.createDatabase()
  const sizes = quick ? [20_000, 200_000] : [1_000_000, 10_000_000]
  const settle = () => server.settle(name)
  const [small, large] = await measureGrowth(address, { sizes, seconds: 5 * seconds, say, settle })
  await server.drop(name)
  if (small === undefined || large === undefined) throw new Error('Cannot compare: a size was not measured')
  const sized = `at ${large.events} events`
  const beside = { peerName: `ours at ${small.events}` }
  const growth = { target: { atMost: 1.3 }, ...beside }
  return [
    barOf({
      id: `9 append, 1 client, ${sized}`,
      unit: 'us',
      ours: [large.appendUs],
      peer: [small.appendUs],
      ...growth,
    }),
    barOf({
      id: `9 append, 32 clients, ${sized}`,
      unit: 'us',
      ours: [1e6 / large.perSecond],
      peer: [1e6 / small.perSecond],
      ...growth,
    }),
    barOf({
      id: `4 catch-up ${sized}`,
      unit: 'events/s',
      ours: [large.readPerSecond],
      peer: [small.readPerSecond],
      target: { atLeast: 0.9 },
      ...beside,
    }),
    barOf({
      id: `4 catch-up ${sized}: absolute`,
      unit: 'events/s',
      ours: [large.readPerSecond],
      peer: [],
      limit: { atLeast: 150_000 },
    }),
  ]
}
