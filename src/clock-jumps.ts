import type { Logger } from 'pino'
import { daemonContext } from './commands/daemon-caller.ts'
import { metadataOf, newEvent } from './commands/record.ts'
import { newFact } from './events/catalogue.ts'
import { encodeMetadata } from './events/metadata.ts'
import { nodeStream } from './events/stream-names.ts'
import type { EventStore } from './eventstore/event-store.ts'
import type { ClockJump } from './eventstore/event-store-options.ts'
import { systemClock } from './util/clock.ts'
import { uuidV7 } from './util/uuid-v7.ts'

/** Records that the wall clock was set: who reads the times in the log has to know. */
export class ClockJumps {
  readonly #hostId: string
  readonly #logger: Logger
  #store: EventStore | null = null
  /** Noticed before the log was open. */
  #early: ClockJump | null = null

  constructor(hostId: string, logger: Logger) {
    this.#hostId = hostId
    this.#logger = logger
  }

  /** The log that the events go to. */
  attach(store: EventStore): void {
    this.#store = store
    if (this.#early !== null) this.take(this.#early)
  }

  take(jump: ClockJump): void {
    const byMs = Number(jump.differenceUs / 1_000n)
    this.#logger.warn({ byMs }, 'The wall clock was set')
    if (this.#store === null) {
      this.#early = jump
      return
    }
    this.#append(this.#store, jump).catch((error: unknown) => {
      this.#logger.error({ err: error, byMs }, 'That the wall clock was set could not be recorded')
    })
  }

  async #append(store: EventStore, jump: ClockJump): Promise<void> {
    const meta = encodeMetadata(metadataOf({ hostId: this.#hostId, clock: systemClock }, daemonContext('CLOCK')))
    const event = newEvent(newFact('ClockJumped', jump), { eventId: uuidV7(), meta })
    await store.append([{ stream: nodeStream(this.#hostId), expectedRevision: 'any', events: [event] }], {
      kind: 'fact',
    })
  }
}
