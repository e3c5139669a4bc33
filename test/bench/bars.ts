import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { formatTable } from '../../src/cli/text-table.ts'

/** Rounds of one measure on one side. */
export type Rounds = readonly number[]

/** What must hold for the ratio of ours to the peer's, or for our own figure. */
export interface Target {
  readonly atMost?: number
  readonly atLeast?: number
}

/** One measured thing: medians, and where there is a peer, how we compare. */
export interface Bar {
  readonly id: string
  readonly value: number
  readonly unit: string
  readonly peer: string | null
  readonly peerValue: number | null
  /** Ours divided by the peer's. */
  readonly ratio: number | null
  readonly target: string | null
  /** Null where there is no target, or nobody to compare with. */
  readonly pass: boolean | null
  readonly spread: readonly [number, number]
  readonly peerSpread: readonly [number, number] | null
}

/** A measure of both sides; `peer` is empty where there is none. */
export interface Measured {
  readonly id: string
  readonly unit: string
  readonly ours: Rounds
  readonly peer: Rounds
  /** libvirtd unless told. */
  readonly peerName?: string
  /** Of the ratio to the peer. */
  readonly target?: Target
  /** Of our own figure, where no peer has one. */
  readonly limit?: Target
}

/** Makes a bar of what was measured. The value is the median of the rounds, the spread their least and greatest. */
export function barOf({ id, unit, ours, peer, peerName = 'libvirtd 9.0', target, limit }: Measured): Bar {
  const value = median(ours)
  const peerValue = peer.length === 0 ? null : median(peer)
  const ratio = peerValue === null || peerValue === 0 ? null : value / peerValue
  return {
    id,
    value: rounded(value),
    unit,
    peer: peerValue === null ? null : peerName,
    peerValue: peerValue === null ? null : rounded(peerValue),
    ratio: ratio === null ? null : rounded(ratio),
    target: target !== undefined ? `ratio ${targetText(target)}` : limit !== undefined ? targetText(limit) : null,
    pass:
      limit !== undefined ? meets(value, limit) : ratio !== null && target !== undefined ? meets(ratio, target) : null,
    spread: spread(ours),
    peerSpread: peer.length === 0 ? null : spread(peer),
  }
}

/** Bars as a table for people. */
export function barTable(bars: readonly Bar[]): readonly string[] {
  const titles = ['MEASURE', 'OURS', 'SPREAD', 'PEER', 'SPREAD', 'UNIT', 'BESIDE', 'RATIO', 'TARGET', '']
  const columns = titles.map((title, at) => ({
    title,
    align: at >= 1 && at <= 4 ? ('right' as const) : ('left' as const),
  }))
  const rows = bars.map((bar) => [
    bar.id,
    String(bar.value),
    bar.spread.join('…'),
    bar.peerValue === null ? '' : String(bar.peerValue),
    bar.peerSpread?.join('…') ?? '',
    bar.unit,
    bar.peer ?? 'no peer',
    bar.ratio === null ? '' : bar.ratio.toFixed(2),
    bar.target ?? '',
    bar.pass === null ? '' : bar.pass ? 'ok' : 'MISSED',
  ])
  return formatTable(columns, rows)
}

/** What a figure depends on. */
export function describeMachine(virtType: 'kvm' | 'qemu'): Readonly<Record<string, string | number>> {
  return {
    cpus: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    guests: virtType === 'kvm' ? 'KVM' : 'TCG',
    load: loadavg()[0] ?? 0,
    time: new Date().toISOString(),
  }
}

/** User and system time of processes so far, in seconds; one that has ended counts nothing. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuTicks(pid) / ticksPerSecond, 0)
}

// USER_HZ, which Linux fixes for user space.
const ticksPerSecond = 100

function cpuTicks(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return Number(fields[11]) + Number(fields[12])
  } catch {
    return 0
  }
}

function median(values: Rounds): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = 0, high = 0] =
    sorted.length % 2 === 1 ? [sorted[middle], sorted[middle]] : sorted.slice(middle - 1, middle + 1)
  return (low + high) / 2
}

function spread(values: Rounds): readonly [number, number] {
  return [rounded(Math.min(...values)), rounded(Math.max(...values))]
}

function rounded(value: number): number {
  return Number(value.toPrecision(3))
}

function meets(ratio: number, { atMost = Infinity, atLeast = 0 }: Target): boolean {
  return ratio <= atMost && ratio >= atLeast
}

function targetText({ atMost, atLeast }: Target): string {
  if (atMost === undefined) return `>= ${atLeast ?? 0}`
  return atMost === atLeast ? `= ${atMost}` : `<= ${atMost}`
}
