import { chmodSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { whyNoPeer } from '../support/peer-libvirtd.ts'
import { type Bar, barOf, type Target } from './bars.ts'
import { clients, ourSide, peerSide, type Side, timeStart } from './sides.ts'
import type { BenchOptions } from './smoke.ts'

const emulator = '/usr/bin/qemu-system-x86_64'
const rateSchema = v.object({ perSecond: v.number(), error: v.nullable(v.string()) })

interface Measure {
  readonly id: string
  readonly unit: string
  readonly target?: Target
  /** Of our own figure. */
  readonly limit?: Target
  /**
   * libvirtd on all CPUs: the one on a single CPU is the stricter peer elsewhere. Where the CPUs of a machine report themselves alike it, too, reads
   * and checks its caches and asks no emulator: how many it asked is said.
   */
  readonly unpinned?: true
  take(side: Side, options: BenchOptions): Promise<number>
}

/** What is measured, one row each; a side is running before and after. */
const measures: readonly Measure[] = [
  {
    id: 'cold start to domcapabilities of x86_64',
    unit: 'ms',
    target: { atMost: 0.6 },
    take: (side) => coldStart(side, 'domcapabilities'),
  },
  {
    id: 'cold start to capabilities of all emulators',
    unit: 'ms',
    target: { atMost: 0.25 },
    take: (side) => coldStart(side, 'capabilities'),
  },
  { id: 'warm start to list', unit: 'ms', limit: { atMost: 400 }, take: (side) => warmStart(side, 'list') },
  {
    id: 'warm start to capabilities of all emulators',
    unit: 'ms',
    target: { atMost: 0.25 },
    unpinned: true,
    take: (side) => warmStart(side, 'capabilities'),
  },
  { id: 'domcapabilities, 16 clients', unit: '1/s', target: { atLeast: 1 }, take: lookUps },
  { id: 'domcapabilities after a chmod', unit: 'ms', target: { atMost: 0.1 }, take: afterChmod },
]

/** Probes, look-ups and starts of our daemon and libvirtd with the same emulators, interleaved. */
export async function capabilities(options: BenchOptions): Promise<readonly Bar[]> {
  const noPeer = whyNoPeer()
  if (noPeer !== null) options.say(`no peer: ${noPeer}`)
  await using stack = new AsyncDisposableStack()
  const ours = stack.use(await ourSide())
  const pinned = noPeer === null ? stack.use(await peerSide()) : null
  const unpinned = noPeer === null ? stack.use(await peerSide({ pinned: false })) : null
  const bars: Bar[] = []
  for (const measure of measures) {
    const peer = measure.unpinned === true ? unpinned : pinned
    const taken = await rounds(measure, { sides: peer === null ? [ours] : [ours, peer], options })
    bars.push(barOf({ ...measure, ours: taken.get(ours) ?? [], peer: peer === null ? [] : (taken.get(peer) ?? []) }))
  }
  return bars
}

async function rounds(
  measure: Measure,
  { sides, options }: { readonly sides: readonly Side[]; readonly options: BenchOptions },
): Promise<ReadonlyMap<Side, readonly number[]>> {
  const taken = new Map<Side, number[]>(sides.map((side) => [side, []]))
  for (const side of sides) await clients('time', side.uri(), 'capabilities')
  for (let round = 0; round < options.rounds; round += 1) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      const before = new Set(measure.unpinned === true ? side.cacheFiles?.() : [])
      taken.get(side)?.push(await measure.take(side, options))
      if (before.size > 0) sayAnew(before, { side, options })
    }
  }
  const said = [...taken].map(([side, values]) => `${side.name} ${values.map((value) => value.toFixed(0)).join(' ')}`)
  options.say(`${measure.id}: ${said.join(', ')} ${measure.unit}`)
  return taken
}

function sayAnew(
  before: ReadonlySet<string>,
  { side, options }: { readonly side: Side; readonly options: BenchOptions },
): void {
  const anew = (side.cacheFiles?.() ?? []).filter((file) => !before.has(file)).length
  options.say(`libvirtd asked ${anew} emulators again, and had ${before.size - anew} in its cache`)
}

async function coldStart(side: Side, call: string): Promise<number> {
  await side.forget()
  await side.stop()
  return await timeStart(side, call)
}

async function warmStart(side: Side, call: string): Promise<number> {
  await side.stop()
  return await timeStart(side, call)
}

async function lookUps(side: Side, { seconds }: BenchOptions): Promise<number> {
  const words = ['run', side.uri(), 'domcapabilities', '16', String(seconds), 'qemu']
  const { perSecond, error } = v.parse(rateSchema, JSON.parse(await clients(...words)))
  if (error !== null) throw new Error(`Cannot measure look-ups of ${side.name}: ${error}`)
  return perSecond
}

/** The same mode again: nothing changes but the time of the change. libvirtd compares whole seconds and would not see it any sooner. */
async function afterChmod(side: Side): Promise<number> {
  await clients('time', side.uri(), 'domcapabilities')
  await sleep(1_100)
  chmodSync(emulator, statSync(emulator).mode)
  return Number(await clients('time', side.uri(), 'domcapabilities'))
}
