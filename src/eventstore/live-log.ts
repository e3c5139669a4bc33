import { EventRing, type RingLimits } from './event-ring.ts'

/** Where events come from live: the ring, and who feeds it. */
export interface LiveLog {
  readonly ring: EventRing
  /** Someone follows: resolves once the ring is fed. Returns what says that they do not any more. */
  join(signal: AbortSignal): Promise<() => void>
  close(): Promise<void>
}

/** The ring of the writer's own process: every commit is put into it, from the fence commit on. */
export class WriterLive implements LiveLog {
  readonly ring: EventRing

  constructor(limits: RingLimits) {
    this.ring = new EventRing(limits)
  }

  join(): Promise<() => void> {
    return Promise.resolve(() => undefined)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
