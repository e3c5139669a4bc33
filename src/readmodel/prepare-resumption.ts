import type { LogReader } from '../eventstore/log-reader.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import type { Turn } from '../eventstore/turn.ts'
import { type DeadLetter, letterKey } from './dead-letters.ts'
import { readMissedEvents } from './resumption.ts'

/**
 * What it takes to record that a quarantined stream is to be followed again. The append that records it decides by {@link isCurrent}; where
 * that says no, the stream has grown since, and it is prepared once more. To be disposed of when it is recorded.
 */
export interface PreparedResumption extends Disposable {
  readonly letter: DeadLetter
  isCurrent(turn: Pick<Turn, 'revision'>): boolean
}

/** For a live projection: what it has missed is read before the turn and taken in within it, in the commit of the wish itself. */
export async function prepareResumption(
  letter: DeadLetter,
  { reader, missed }: { readonly reader: LogReader; readonly missed: Map<string, readonly RecordedEvent[]> },
): Promise<PreparedResumption> {
  const { projection, stream, position } = letter
  const key = letterKey(projection, stream)
  // The end is open: whatever the stream has when the turn comes.
  const events = await readMissedEvents(reader, { projection, stream, from: position, end: maxInt64 })
  const last = events.at(-1)?.revision ?? null
  missed.set(key, events)
  return {
    letter,
    isCurrent: (turn) => turn.revision(stream) === last,
    [Symbol.dispose]: () => void missed.delete(key),
  }
}

const maxInt64 = 2n ** 63n - 1n

/** For a background projection: it reads what it has missed when it comes to the wish in the log. */
export function resumedLater(letter: DeadLetter): PreparedResumption {
  return { letter, isCurrent: () => true, [Symbol.dispose]: () => undefined }
}
