import { setTimeout as sleep } from 'node:timers/promises'
import type { LogReader } from '../../src/eventstore/log-reader.ts'
import type { Delivery, SubscribeOptions } from '../../src/eventstore/subscription.ts'
import type { ConsumerSource } from './served-store.ts'
import type { StagedEvents } from './staged-events.ts'

/** Whatever can be subscribed to: the store itself or a reader in another process. */
export interface Subscribable {
  subscribe(options: SubscribeOptions): AsyncIterable<Delivery>
}

/** A subscription as consumers take it. */
export function subscriptionSource(log: Subscribable): ConsumerSource {
  return async function* deliveries({ from, prefix, signal }) {
    const filter = prefix === '' ? {} : { filter: { streams: { prefixes: [prefix] } }, checkpointEvery: 1_000 }
    for await (const delivery of log.subscribe({ from, signal, ...filter })) {
      switch (delivery.kind) {
        case 'event':
          yield { kind: 'event', position: delivery.event.position, eventId: delivery.event.eventId }
          break
        case 'checkpoint':
          yield { kind: 'skip', upTo: delivery.position }
          break
        case 'caught-up':
        case 'fell-behind':
          break
      }
    }
  }
}

const pollMs = 2

/** The broken reader: it takes what is visible of the positions given out so far and goes on after the last of them. */
export function sequenceSource(log: LogReader, staged: StagedEvents): ConsumerSource {
  return async function* deliveries({ from, prefix, signal }) {
    for (let next = from; !signal.aborted; ) {
      const upTo = staged.lastPosition
      for await (const { position, eventId, stream } of log.readAll({ from: next })) {
        if (position > upTo) break
        if (stream.startsWith(prefix)) yield { kind: 'event', position, eventId }
      }
      if (upTo >= next) yield { kind: 'skip', upTo }
      next = upTo >= next ? upTo + 1n : next
      await sleep(pollMs)
    }
  }
}
