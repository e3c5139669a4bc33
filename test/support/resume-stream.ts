import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { DeadLetter } from '../../src/readmodel/dead-letters.ts'
import type { ReadModels } from '../../src/readmodel/read-models.ts'
import { newEvent, write } from './log-kit.ts'

const types = { retry: 'ProjectionStreamRetried', skip: 'ProjectionEventSkipped' } as const

/** Has a projection follow a quarantined stream again, as the daemon does for an operator; gives the letter that is left. */
export async function resumeStream(
  { log, models }: { readonly log: EventStore; readonly models: ReadModels },
  wish: { readonly kind: 'retry' | 'skip'; readonly projection: string; readonly stream: string },
): Promise<DeadLetter | null> {
  const { projection, stream } = wish
  for (;;) {
    using prepared = await models.prepareResumption(projection, stream)
    const { position, error } = prepared.letter
    const { version } = models.projection(projection).projection
    const event = newEvent(types[wish.kind], { projection, version, stream, position, error })
    const { events, lastPosition } = await log.append(
      (turn) => (prepared.isCurrent(turn) ? [write(`projection-${projection}`, [event])] : []),
      { kind: 'fact' },
    )
    if (events.length > 0) return await models.letterAfter(lastPosition, { projection, stream })
  }
}
