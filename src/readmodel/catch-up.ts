import { BatchTaker, type BatchTakerParts } from './batch-taker.ts'
import { readHandledEvents } from './handled-events.ts'

/** How far a catch-up is. */
export interface CatchUpProgress {
  readonly projections: readonly string[]
  readonly position: bigint
  readonly target: bigint
}

/** What is to be caught up, from the event after `from` to the one at `to`. */
export interface CatchUp extends BatchTakerParts {
  readonly from: bigint
  readonly to: bigint
  readonly onProgress?: (progress: CatchUpProgress) => void
  readonly signal?: AbortSignal
}

const batchEvents = 1_000

/** Takes recorded events into projections that are behind, batch by batch, each in one transaction with its position. */
export async function catchUp(work: CatchUp): Promise<void> {
  const taker = new BatchTaker(work)
  const projections = [...work.only].map(({ name }) => name)
  let from = work.from
  const reading = {
    projections: work.only,
    from: work.from + 1n,
    to: work.to,
    batchEvents,
    ...(work.signal === undefined ? {} : { signal: work.signal }),
  }
  for await (const batch of readHandledEvents(work.reader, reading)) {
    work.signal?.throwIfAborted()
    await taker.take(batch, from)
    from = batch.through
    work.onProgress?.({ projections, position: batch.through, target: work.to })
  }
}
