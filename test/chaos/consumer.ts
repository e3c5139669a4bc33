import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import type { ConsumedEvent } from './history.ts'
import { Journal } from './journal.ts'
import type { ConsumerDelivery, ConsumerSource } from './served-store.ts'

/** A consumer of the log: what it takes, where from, and where it writes it down. */
export interface ConsumerOptions {
  readonly name: string
  /** Only streams whose name begins so. */
  readonly prefix: string
  readonly output: PostgresAddress
  readonly source: ConsumerSource
  /** Saves its position apart from its output: the broken way. */
  readonly isApart: boolean
  readonly signal: AbortSignal
}

const mostPerSave = 200
const pauseMs = 100

/** Consumes until the signal; whatever breaks, it starts again from the position that it saved last. */
export async function consume(options: ConsumerOptions): Promise<void> {
  while (!options.signal.aborted) {
    try {
      await consumeOnce(options)
    } catch {
      // The server is away, or a former process of this consumer still had a save under way.
      await sleep(pauseMs)
    }
  }
}

async function consumeOnce({ name, prefix, output, source, isApart, signal }: ConsumerOptions): Promise<void> {
  await using journal = await Journal.open(output, { consumer: name, isApart })
  const stop = new AbortController()
  // Read once: a save of a former process that comes meanwhile makes the first save here fail.
  let saved = await journal.position()
  const deliveries = source({
    from: saved + 1n,
    prefix,
    signal: AbortSignal.any([signal, stop.signal]),
  })[Symbol.asyncIterator]()
  try {
    let next = expectedLater(deliveries.next())
    while (!signal.aborted) {
      const batch: ConsumerDelivery[] = []
      let delivery = await next
      while (delivery.done !== true) {
        batch.push(delivery.value)
        next = expectedLater(deliveries.next())
        if (batch.length >= mostPerSave) break
        const more = await Promise.race([next, sleep(0, null)])
        if (more === null) break
        delivery = more
      }
      if (batch.length === 0) return
      const { events, to } = summed(batch, saved)
      if (to > saved) await journal.save(events, { from: saved, to })
      saved = to
      if (delivery.done === true) return
    }
  } finally {
    stop.abort(new Error('The consumer starts again'))
    await deliveries.return?.(undefined)
  }
}

/** A promise whose failure may come before anybody waits for it. */
function expectedLater<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => undefined)
  return promise
}

/** What is to be written down of a batch, and the position after it. */
function summed(
  batch: readonly ConsumerDelivery[],
  from: bigint,
): { readonly events: readonly ConsumedEvent[]; readonly to: bigint } {
  const events: ConsumedEvent[] = []
  let to = from
  for (const delivery of batch) {
    if (delivery.kind === 'event') events.push(delivery)
    const position = delivery.kind === 'event' ? delivery.position : delivery.upTo
    if (position > to) to = position
  }
  return { events, to }
}
