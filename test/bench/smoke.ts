import * as v from 'valibot'
import { availableVirtType } from '../conformance/story-world.ts'
import { whyNoPeer } from '../support/peer-libvirtd.ts'
import { type Bar, barOf, cpuSeconds, type Target } from './bars.ts'
import { clients, ourSide, peerSide, type Side, timeStart } from './sides.ts'

/** How long a bench measures. */
export interface BenchOptions {
  readonly rounds: number
  /** Of one measure on one side in one round. */
  readonly seconds: number
  readonly quick: boolean
  /** A part of a bench, where it has parts. */
  readonly only?: string
  readonly say: (line: string) => void
}

const domains = 100
const readAtOne = { atMost: 1 } as const satisfies Target

/** What the clients do, with how many of them, and what is wanted. One row per measure. */
const measures = [
  { id: 'list (100 domains), 1 client', call: 'list', clients: 1, figure: 'p50Us', unit: 'us', target: readAtOne },
  { id: 'dumpxml, 1 client', call: 'dumpxml', clients: 1, figure: 'p50Us', unit: 'us', target: readAtOne },
  { id: 'dominfo (5 calls), 1 client', call: 'dominfo', clients: 1, figure: 'p50Us', unit: 'us', target: readAtOne },
  { id: 'list (100 domains), 16 clients', call: 'list', clients: 16, figure: 'perSecond', unit: '1/s' },
  { id: 'dumpxml, 16 clients', call: 'dumpxml', clients: 16, figure: 'perSecond', unit: '1/s' },
  { id: 'dominfo (5 calls), 16 clients', call: 'dominfo', clients: 16, figure: 'perSecond', unit: '1/s' },
  {
    id: 'define+undefine, 1 client',
    call: 'define',
    clients: 1,
    figure: 'perSecond',
    unit: '1/s',
    target: { atLeast: 0.5 },
  },
  {
    id: 'define+undefine, 16 clients',
    call: 'define',
    clients: 16,
    figure: 'perSecond',
    unit: '1/s',
    target: { atLeast: 0.5 },
  },
] as const satisfies readonly {
  readonly id: string
  readonly call: string
  readonly clients: number
  readonly figure: 'p50Us' | 'perSecond'
  readonly unit: string
  readonly target?: Target
}[]

const answerSchema = v.object({
  calls: v.number(),
  perSecond: v.number(),
  p50Us: v.number(),
  p99Us: v.number(),
  error: v.nullable(v.string()),
})

interface Kept {
  readonly figure: number[]
  readonly cpuUs: number[]
}

/** Start, reads and define+undefine of our daemon and libvirtd, interleaved. */
export async function smoke(options: BenchOptions): Promise<readonly Bar[]> {
  const noPeer = whyNoPeer()
  if (noPeer !== null) options.say(`no peer: ${noPeer}`)
  const virtType = availableVirtType()
  await using stack = new AsyncDisposableStack()
  const sides: Side[] = [stack.use(await ourSide())]
  if (noPeer === null) sides.push(stack.use(await peerSide()))
  for (const side of sides) await clients('fill', side.uri(), String(domains), virtType)
  const starts = await measureStarts(sides, options)
  const kept = await measureCalls(sides, { ...options, virtType })
  const start = { id: 'start to first list, warm', unit: 'ms', ...bothSides(starts) }
  const calls = measures.flatMap((measure) => {
    const { id, unit } = measure
    const rows = kept.get(id) ?? new Map<Side['name'], Kept>()
    const of = (side: Side['name'], what: keyof Kept): readonly number[] => rows.get(side)?.[what] ?? []
    const target = 'target' in measure ? { target: measure.target } : {}
    return [
      { id, unit, ours: of('ours', 'figure'), peer: of('peer', 'figure'), ...target },
      { id: `${id}: daemon CPU`, unit: 'us', ours: of('ours', 'cpuUs'), peer: of('peer', 'cpuUs') },
    ]
  })
  return [start, ...calls].map(barOf)
}

async function measureStarts(
  sides: readonly Side[],
  { rounds, say }: BenchOptions,
): Promise<Map<Side['name'], number[]>> {
  const found = new Map<Side['name'], number[]>(sides.map(({ name }) => [name, []]))
  // The first start after a change fills caches of code; it is not counted.
  for (let round = -1; round < rounds; round += 1) {
    for (const side of inTurn(sides, round)) {
      await side.stop()
      const ms = await timeStart(side)
      if (round >= 0) found.get(side.name)?.push(ms)
    }
  }
  say(
    `start: ${[...found].map(([name, values]) => `${name} ${values.map((ms) => ms.toFixed(0)).join(' ')} ms`).join(', ')}`,
  )
  return found
}

type CallOptions = BenchOptions & { readonly virtType: string }

async function measureCalls(
  sides: readonly Side[],
  options: CallOptions,
): Promise<Map<string, Map<Side['name'], Kept>>> {
  const kept = new Map(
    measures.map(({ id }) => [
      id,
      new Map<Side['name'], Kept>(sides.map(({ name }) => [name, { figure: [], cpuUs: [] }])),
    ]),
  )
  for (let round = 0; round < options.rounds; round += 1) {
    for (const measure of measures) {
      for (const side of inTurn(sides, round)) {
        const { figure, cpuUs } = await measureCall(side, measure, options)
        const row = kept.get(measure.id)?.get(side.name)
        row?.figure.push(figure)
        row?.cpuUs.push(cpuUs)
      }
    }
    options.say(`round ${round + 1} of ${options.rounds}`)
  }
  return kept
}

async function measureCall(side: Side, measure: (typeof measures)[number], { seconds, virtType }: CallOptions) {
  const pids = side.pids()
  const before = cpuSeconds(pids)
  const words = ['run', side.uri(), measure.call, String(measure.clients), String(seconds), virtType]
  const answer = v.parse(answerSchema, JSON.parse(await clients(...words)))
  if (answer.error !== null) throw new Error(`Cannot measure "${measure.id}" of ${side.name}: ${answer.error}`)
  const cpuUs = ((cpuSeconds(pids) - before) / answer.calls) * 1e6
  return { figure: answer[measure.figure], cpuUs }
}

/** Every other round begins with the other side. */
function inTurn(sides: readonly Side[], round: number): readonly Side[] {
  return round % 2 === 0 ? sides : sides.toReversed()
}

function bothSides(found: Map<Side['name'], number[]>): {
  readonly ours: readonly number[]
  readonly peer: readonly number[]
} {
  return { ours: found.get('ours') ?? [], peer: found.get('peer') ?? [] }
}
