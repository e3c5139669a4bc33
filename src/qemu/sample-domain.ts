import * as v from 'valibot'
import type { DiskSample, DomainSample } from '../driver/driver.ts'
import { Fault } from '../util/fault.ts'
import { targetOfDevice } from './block-nodes.ts'
import type { DomainSession } from './domain-session.ts'
import { QmpError } from './qmp-error.ts'
import { parseQmpValue, wideUnsigned } from './qmp-message.ts'

/** A healthy QEMU answers in a millisecond; a stuck one must not hold a sample up. */
export const sampleTimeoutMs = 2_000

const statusReply = v.object({ running: v.boolean() })
const balloonReply = v.object({ actual: wideUnsigned })
const counters = v.object({
  rd_operations: wideUnsigned,
  rd_bytes: wideUnsigned,
  rd_total_time_ns: wideUnsigned,
  wr_operations: wideUnsigned,
  wr_bytes: wideUnsigned,
  wr_total_time_ns: wideUnsigned,
  flush_operations: wideUnsigned,
  flush_total_time_ns: wideUnsigned,
})
const statsReply = v.array(v.object({ qdev: v.optional(v.string()), stats: counters }))
const image = v.object({ 'virtual-size': wideUnsigned, 'actual-size': v.optional(wideUnsigned) })
const blockReply = v.array(v.object({ qdev: v.optional(v.string()), inserted: v.optional(v.object({ image })) }))

type Counters = v.InferOutput<typeof counters>
type Image = v.InferOutput<typeof image>

/** One reading of everything that changes by itself, bounded in time. The questions are asked at once and answered in turn. */
export async function sampleDomain(session: DomainSession, signal: AbortSignal): Promise<DomainSample> {
  const { process, processes, name } = session.options
  const ask = async (command: string): Promise<unknown> =>
    await session.execute(command, {}, { signal, timeoutMs: sampleTimeoutMs })
  const [status, stats, blocks, balloonBytes] = await Promise.all([
    ask('query-status'),
    ask('query-blockstats'),
    ask('query-block'),
    askBalloon(ask),
  ])
  const usage = processes.usage(process)
  if (usage === null) throw new Fault('operation_invalid', `Cannot sample "${name}": its process has ended`)
  const images = byTarget(
    parseQmpValue(blocks, { shape: blockReply, of: 'query-block' }),
    ({ inserted }) => inserted?.image,
  )
  const counted = byTarget(parseQmpValue(stats, { shape: statsReply, of: 'query-blockstats' }), (entry) => entry.stats)
  return {
    atMs: Date.now(),
    paused: !parseQmpValue(status, { shape: statusReply, of: 'query-status' }).running,
    cpuTimeNs: usage.userTimeNs + usage.systemTimeNs,
    userTimeNs: usage.userTimeNs,
    systemTimeNs: usage.systemTimeNs,
    balloonBytes,
    residentBytes: usage.residentBytes,
    disks: [...counted].map(([target, numbers]) => diskSample(target, numbers, images.get(target))),
  }
}

async function askBalloon(ask: (command: string) => Promise<unknown>): Promise<bigint | null> {
  try {
    return parseQmpValue(await ask('query-balloon'), { shape: balloonReply, of: 'query-balloon' }).actual
  } catch (error) {
    // The guest has no balloon, or its accelerator cannot do it.
    if (error instanceof QmpError) return null
    throw error
  }
}

function byTarget<Entry extends { readonly qdev?: string | undefined }, Value>(
  entries: readonly Entry[],
  valueOf: (entry: Entry) => Value | undefined,
): ReadonlyMap<string, Value> {
  const values = new Map<string, Value>()
  for (const entry of entries) {
    const target = entry.qdev === undefined ? null : targetOfDevice(entry.qdev)
    const value = valueOf(entry)
    if (target !== null && value !== undefined) values.set(target, value)
  }
  return values
}

function diskSample(target: string, stats: Counters, size: Image | undefined): DiskSample {
  return {
    target,
    readRequests: stats.rd_operations,
    readBytes: stats.rd_bytes,
    readTimeNs: stats.rd_total_time_ns,
    writeRequests: stats.wr_operations,
    writeBytes: stats.wr_bytes,
    writeTimeNs: stats.wr_total_time_ns,
    flushRequests: stats.flush_operations,
    flushTimeNs: stats.flush_total_time_ns,
    capacityBytes: size?.['virtual-size'] ?? 0n,
    allocationBytes: size?.['actual-size'] ?? 0n,
  }
}
