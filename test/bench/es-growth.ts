import { randomUUID } from 'node:crypto'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { openLog } from '../support/log-kit.ts'
import type { StreamWrite } from '../../src/eventstore/recorded-event.ts'

const batchEvents = 1_000
const batchesAtOnce = 4
const streams = 5_000

/** What a log of some size costs. */
export interface Growth {
  readonly events: number
  /** Median time of one append with one client, microseconds. */
  readonly appendUs: number
  /** Appends a second with 32 clients. */
  readonly perSecond: number
  /** Events a second through a subscription from position 0. */
  readonly readPerSecond: number
}

/** Fills a new log to each size in turn and measures appends and a whole catch-up there. Throws where the catch-up misses an event. */
export async function measureGrowth(
  address: PostgresAddress,
  options: {
    readonly sizes: readonly number[]
    readonly seconds: number
    readonly say: (line: string) => void
    /** `vacuum analyze; checkpoint`: the log grows without a pause otherwise. */
    readonly settle: () => Promise<void>
  },
): Promise<readonly Growth[]> {
  await using store = await openLog(address)
  const found: Growth[] = []
  for (const size of options.sizes) {
    await fill(store, { size, say: options.say })
    await options.settle()
    const alone = await appendLoop(store, { clients: 1, seconds: options.seconds })
    const { perSecond } = await appendLoop(store, { clients: 32, seconds: options.seconds })
    await options.settle()
    const readPerSecond = await catchUp(store)
    const appendUs = middle(alone.latenciesMs) * 1_000
    found.push({ events: size, appendUs, perSecond, readPerSecond })
    options.say(
      `${size} events: append ${appendUs.toFixed(0)} us, ${perSecond.toFixed(0)}/s with 32 clients, catch-up ${readPerSecond.toFixed(0)}/s`,
    )
  }
  return found
}

async function fill(store: EventStore, { size, say }: { readonly size: number; readonly say: (line: string) => void }) {
  const started = performance.now()
  const first = Number(store.head.position) + 1
  let next = first
  await Promise.all(
    Array.from({ length: batchesAtOnce }, async () => {
      while (next < size) {
        const from = next
        next += batchEvents
        const writes = Array.from({ length: Math.min(batchEvents, size - from) }, (_, at) => writeOf(from + at))
        await store.append(writes)
      }
    }),
  )
  const perSecond = (size - first) / ((performance.now() - started) / 1_000)
  say(`filled to ${size} events at ${perSecond.toFixed(0)}/s`)
}

const noise = 'x'.repeat(240)

function writeOf(number: number): StreamWrite {
  const data = JSON.stringify({ k: number, s: number % streams, n: number, d: noise })
  const event = { eventId: randomUUID(), type: 'Measured', schema: 1, data, meta: '{}' }
  return { stream: `bench-${number % streams}`, expectedRevision: 'any', events: [event] }
}

/** Single appends for so long, each client in a closed loop. */
export async function appendLoop(
  store: EventStore,
  { clients, seconds }: { readonly clients: number; readonly seconds: number },
): Promise<{ readonly perSecond: number; readonly latenciesMs: number[] }> {
  const latenciesMs: number[] = []
  const begin = performance.now()
  const end = begin + seconds * 1_000
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let at = client; performance.now() < end; at += clients) {
        const started = performance.now()
        await store.append([writeOf((at * 7_919) % streams)])
        latenciesMs.push(performance.now() - started)
      }
    }),
  )
  return { perSecond: latenciesMs.length / ((performance.now() - begin) / 1_000), latenciesMs }
}

async function catchUp(store: EventStore): Promise<number> {
  const { position } = store.head
  const started = performance.now()
  let next = 0n
  for await (const delivery of store.subscribe()) {
    if (delivery.kind !== 'event') continue
    if (delivery.event.position !== next) throw new Error(`The catch-up missed position ${next}`)
    next += 1n
    if (next > position) break
  }
  return Number(next) / ((performance.now() - started) / 1_000)
}

function middle(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
