import { type Bar, barOf, type Target } from './bars.ts'
import type { KitLoop, KitReport, KitResult } from './es-kit-run.ts'
import { peers } from './es-peers.ts'

type Loop = (result: KitResult) => KitLoop | undefined

interface Row {
  readonly id: string
  readonly of: Loop
  readonly target?: Target
  readonly limit?: { readonly name: string; readonly target?: Target }
  /** Longest p99, in milliseconds. */
  readonly p99Ms?: number
}

const insert = { name: 'limit-insert' } as const

/** Bars 1 to 3, one row a measure; the target is that of the ratio to the best rival. */
const rows: readonly Row[] = [
  { id: '1 append, 1 client', of: (each) => each.single?.['1'], target: { atLeast: 1 }, limit: insert },
  { id: '1 append, 8 clients', of: (each) => each.single?.['8'], limit: insert },
  { id: '1 append, 32 clients', of: (each) => each.single?.['32'], target: { atLeast: 6 }, limit: insert, p99Ms: 10 },
  { id: '1 append, 64 clients', of: (each) => each.single?.['64'], limit: insert },
  {
    id: '2 batches of 1,000, many streams',
    of: (each) => each.batchMany,
    target: { atLeast: 1 },
    limit: { name: 'limit-copy', target: { atLeast: 0.35 } },
  },
  {
    id: '2 batches of 1,000, one stream',
    of: (each) => each.batchOne,
    target: { atLeast: 1 },
    limit: { name: 'limit-copy', target: { atLeast: 0.35 } },
  },
  { id: '3 any, 32 clients, one stream', of: (each) => each.any },
  { id: '3 read, decide, append, 32 clients', of: (each) => each.decide },
]

/** The bars that the kit measures, ours against the best rival, the limit, and our own with a live row an event. */
export function kitBars({ results }: KitReport): readonly Bar[] {
  const by = (adapter: string) => results.filter((each) => each.adapter === adapter && each.error === undefined)
  const perSecond = (adapter: string, of: Loop) => by(adapter).flatMap((each) => of(each)?.perSec ?? [])
  const bars = rows.flatMap((row): readonly Bar[] => {
    const ours = perSecond('chronovisor', row.of)
    if (ours.length === 0) return []
    const rival = best(peers.rivals.map((name) => ({ name, rounds: perSecond(name, row.of) })))
    const unit = 'events/s'
    const found = [barOf({ id: row.id, unit, ours, peer: rival.rounds, peerName: rival.name, ...targetOf(row.target) })]
    if (row.limit !== undefined) {
      const peer = perSecond(row.limit.name, row.of)
      const id = `${row.id}: share of the limit`
      found.push(barOf({ id, unit, ours, peer, peerName: row.limit.name, ...targetOf(row.limit.target) }))
    }
    if (row.p99Ms !== undefined) {
      const p99 = by('chronovisor').flatMap((each) => row.of(each)?.p99 ?? [])
      found.push(barOf({ id: `${row.id}: p99`, unit: 'ms', ours: p99, peer: [], limit: { atMost: row.p99Ms } }))
    }
    const live = perSecond('chronovisor-live', row.of)
    const target = { atLeast: 0.4 }
    found.push(barOf({ id: `${row.id}: with a live row`, unit, ours: live, peer: ours, peerName: 'plain', target }))
    return found
  })
  return [...bars, ...faultBars(by('chronovisor')), ...catchUpBars(by)]
}

/** Zeroes: what may not happen at all. */
function faultBars(ours: readonly KitResult[]): readonly Bar[] {
  const zero = { atMost: 0 }
  const count = (id: string, of: (each: KitResult) => number | undefined, limit: Target = zero) => {
    const counts = ours.flatMap((each) => of(each) ?? [])
    return counts.length === 0 ? [] : [barOf({ id, unit: 'count', ours: [Math.max(...counts)], peer: [], limit })]
  }
  return [
    ...count('3 any: failures', (each) => each.any?.failures),
    ...count('3 decide: lost updates', (each) => each.decide?.lostUpdates),
    ...count('3 no_stream by 32 at once: accepted', (each) => each.noStreamWinners, { atMost: 1, atLeast: 1 }),
    ...count('4 catch-up: lost, twice, ghosts, out of order', (each) => faults(each)),
  ]
}

function catchUpBars(by: (adapter: string) => readonly KitResult[]): readonly Bar[] {
  // A run that loses an event has no speed.
  const sound = (adapter: string) =>
    by(adapter).flatMap((each) => (faults(each) === 0 && each.read?.cut === false ? [each.read.perSec] : []))
  const ours = sound('chronovisor')
  if (ours.length === 0) return []
  const rival = best(peers.rivals.map((name) => ({ name, rounds: sound(name) })))
  const id = '4 catch-up through the subscription'
  const unit = 'events/s'
  const limit = { atLeast: 150_000 }
  const target = { atLeast: 1 }
  return [
    barOf({ id, unit, ours, peer: rival.rounds, peerName: rival.name, target }),
    barOf({ id: `${id}: absolute`, unit, ours, peer: [], limit }),
    barOf({ id: `${id}: share of the limit`, unit, ours, peer: sound('limit-copy'), peerName: 'limit-copy' }),
  ]
}

function faults({ read }: KitResult): number | undefined {
  return read === undefined ? undefined : read.lost + read.twice + read.ghosts + read.outOfOrder
}

interface Named {
  readonly name: string
  readonly rounds: readonly number[]
}

function best(named: readonly Named[]): Named {
  const none = { name: 'no peer', rounds: [] }
  return named.reduce<Named>((one, other) => (middle(other.rounds) > middle(one.rounds) ? other : one), none)
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

function targetOf(target: Target | undefined): { readonly target?: Target } {
  return target === undefined ? {} : { target }
}
