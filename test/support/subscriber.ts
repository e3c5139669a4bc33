import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import type { Delivery } from '../../src/eventstore/subscription.ts'

/** Takes all deliveries of a subscription and remembers what came. */
export class Subscriber {
  readonly events: RecordedEvent[] = []
  readonly checkpoints: bigint[] = []
  caughtUp = 0
  fellBehind = 0
  /** Settles with the subscription. */
  readonly ended: Promise<void>
  readonly #iterator: AsyncIterator<Delivery>
  readonly #waiting = new Set<() => void>()

  constructor(deliveries: AsyncIterable<Delivery>) {
    this.#iterator = deliveries[Symbol.asyncIterator]()
    this.ended = this.#take()
    this.ended.catch(() => undefined)
  }

  get positions(): bigint[] {
    return this.events.map(({ position }) => position)
  }

  /** Waits until what came is enough; fails where the subscription does. */
  async until(isEnough: (seen: Subscriber) => boolean): Promise<void> {
    while (!isEnough(this)) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.add(resolve)
      await Promise.race([promise, this.ended.then(() => Promise.reject(new Error('The subscription has ended')))])
    }
  }

  async end(): Promise<void> {
    await this.#iterator.return?.()
    await this.ended
  }

  async #take(): Promise<void> {
    for (;;) {
      const next = await this.#iterator.next()
      if (next.done === true) return
      this.#note(next.value)
      for (const wake of this.#waiting) wake()
      this.#waiting.clear()
    }
  }

  #note(delivery: Delivery): void {
    switch (delivery.kind) {
      case 'event':
        this.events.push(delivery.event)
        return
      case 'checkpoint':
        this.checkpoints.push(delivery.position)
        return
      case 'caught-up':
        this.caughtUp += 1
        return
      case 'fell-behind':
        this.fellBehind += 1
    }
  }
}
