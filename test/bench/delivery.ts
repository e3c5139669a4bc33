import { fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { LogFeed } from '../../src/eventstore/log-feed.ts'
import { openLogReader } from '../../src/eventstore/open-log-reader.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import { openNeighbours } from './es-neighbours.ts'

// How long after its acknowledgement an event reaches a handler in another process, at a steady rate of single appends:
//   node test/bench/delivery.ts [--rate 1000] [--seconds 10] [--without-feed] [--neighbours] [--database URL] [--json]
// --neighbours: beside a writing transaction in another database and an open REPEATABLE READ reader of the log.
// Both processes read the same monotonic clock. An event handled before its acknowledgement counts as 0.

interface ReaderTask {
  readonly address: PostgresAddress
  readonly feed: string | null
  readonly count: number
}

const self = fileURLToPath(import.meta.url)
const task = process.env['DELIVERY_TASK']
if (task === undefined) await measure()
else await readAndReport(parseTask(task))

async function measure(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rate: { type: 'string', default: '1000' },
      seconds: { type: 'string', default: '10' },
      'without-feed': { type: 'boolean', default: false },
      neighbours: { type: 'boolean', default: false },
      database: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const rate = Number(values.rate)
  const count = rate * Number(values.seconds)
  const directory = await mkdtemp(join(tmpdir(), 'delivery-'))
  await using stack = new AsyncDisposableStack()
  const address =
    values.database === undefined
      ? await stack.use(await ScratchPostgres.start()).createDatabase()
      : { connectionString: values.database }
  await using log = await openLog(address)
  if (values.neighbours) stack.use(await openNeighbours(address))
  const path = join(directory, 'log-feed.sock')
  await using feed = await LogFeed.serve({ path, mode: 0o600, log })
  const reader = startReader({ address, feed: values['without-feed'] ? null : path, count })
  await reader.ready
  const acknowledgedMs = await appendSteadily(count, rate, async (at) => {
    await log.append([write(`stream-${at % 100}`, [newEvent('Measured', { at, text: 'x'.repeat(250) })])])
  })
  const handledMs = await reader.handledMs
  await rm(directory, { recursive: true, force: true })
  const result = summary(acknowledgedMs, handledMs)
  const line = `acknowledged to handled at ${rate}/s: p50 ${result.p50Ms} ms, p99 ${result.p99Ms} ms, longest ${result.longestMs} ms`
  console.log(values.json ? JSON.stringify({ rate, ...result }) : `${line}; ${result.lost} of ${count} lost`)
  process.exitCode = result.lost === 0 && feed.readers <= 1 ? 0 : 1
}

/** Appends on time, whatever the answers take; gives the moment of each acknowledgement. */
async function appendSteadily(
  count: number,
  rate: number,
  append: (at: number) => Promise<void>,
): Promise<readonly number[]> {
  const acknowledged: number[] = []
  const waiting: Promise<void>[] = []
  const startMs = nowMs()
  for (let at = 0; at < count; ) {
    const due = Math.min(count, Math.floor(((nowMs() - startMs) * rate) / 1_000) + 1)
    for (; at < due; at += 1) {
      const number = at
      waiting.push(append(number).then(() => void (acknowledged[number] = nowMs())))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(waiting)
  return acknowledged
}

function startReader(readerTask: ReaderTask): {
  readonly ready: Promise<void>
  readonly handledMs: Promise<readonly number[]>
} {
  const child = fork(self, { env: { ...process.env, DELIVERY_TASK: JSON.stringify(readerTask) } })
  const ready = Promise.withResolvers<void>()
  const handledMs = Promise.withResolvers<readonly number[]>()
  child.on('message', (message: unknown) => {
    if (Array.isArray(message)) handledMs.resolve(message.map(Number))
    else ready.resolve()
  })
  child.on('exit', (code) => {
    const error = new Error(`The reader ended with ${code}`)
    ready.reject(error)
    handledMs.reject(error)
  })
  return { ready: ready.promise, handledMs: handledMs.promise }
}

async function readAndReport({ address, feed, count }: ReaderTask): Promise<void> {
  const reader = await openLogReader(feed === null ? { address } : { address, feed })
  const handledMs: number[] = []
  for await (const delivery of reader.subscribe({ from: 'end' })) {
    if (delivery.kind === 'caught-up') process.send?.('ready')
    if (delivery.kind !== 'event') continue
    handledMs.push(nowMs())
    if (handledMs.length === count) break
  }
  await reader.close()
  await new Promise<void>((resolve) => process.send?.(handledMs, undefined, {}, () => resolve()))
  process.disconnect()
}

function parseTask(text: string): ReaderTask {
  const parsed: ReaderTask = JSON.parse(text)
  return parsed
}

function summary(acknowledgedMs: readonly number[], handledMs: readonly number[]) {
  const delays = handledMs.map((handled, at) => Math.max(0, handled - (acknowledgedMs[at] ?? Infinity)))
  const sorted = delays.toSorted((a, b) => a - b)
  const at = (share: number): number => Number((sorted[Math.floor((sorted.length - 1) * share)] ?? NaN).toFixed(2))
  return { p50Ms: at(0.5), p99Ms: at(0.99), longestMs: at(1), lost: acknowledgedMs.length - handledMs.length }
}

function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
