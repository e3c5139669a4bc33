import type { CheckedAppend, CheckedWrite } from './append-request.ts'
import type { Batch } from './batch.ts'
import type { LogReads } from './log-reads.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** Where an earlier append is looked for. */
interface Search {
  readonly batch: Batch
  readonly reads: LogReads
}

/** The events of an earlier append that this one repeats: the same ids at the revisions it asks for, all in one commit; null where there is none. */
export async function findRetried(append: CheckedAppend, search: Search): Promise<readonly RecordedEvent[] | null> {
  const exact = append.writes.filter((write) => firstRevision(write) !== null && write.events.length > 0)
  let commitNo: bigint | null = null
  for (const write of exact) {
    const there = await eventsAt(write, search)
    const same =
      there.length === write.events.length && there.every((event, at) => event.eventId === write.events[at]?.eventId)
    if (!same) return null
    commitNo = there[0]?.commitNo ?? null
  }
  if (commitNo === null) return null
  const { batch, reads } = search
  const committed = commitNo === batch.commitNo ? batch.events : await reads.readCommit(commitNo)
  const byId = new Map(committed.map((event) => [event.eventId, event]))
  const earlier = append.writes.flatMap((write) =>
    write.events.map((event) => {
      const recorded = byId.get(event.eventId)
      return recorded?.stream === write.stream ? recorded : null
    }),
  )
  return earlier.every((event) => event !== null) ? earlier : null
}

async function eventsAt(write: CheckedWrite, { batch, reads }: Search): Promise<readonly RecordedEvent[]> {
  const from = firstRevision(write) ?? 0n
  const maxCount = write.events.length
  const staged = batch.staged(write.stream, from)
  if (staged[0]?.revision === from) return staged.slice(0, maxCount)
  return Array.fromAsync(reads.readStream(write.stream, { from, maxCount }))
}

function firstRevision({ expectedRevision }: CheckedWrite): bigint | null {
  if (expectedRevision === 'no_stream') return 0n
  return typeof expectedRevision === 'bigint' ? expectedRevision + 1n : null
}
