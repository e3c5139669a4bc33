import { BoundedMap } from './bounded-map.ts'
import type { LogReader } from './log-reader.ts'
import type { RecordedEvent } from './recorded-event.ts'
import type { StreamFold } from './stream-fold.ts'

/** A remembered state and the last revision in it (-1 before the first event). */
export interface Memo {
  readonly revision: bigint
  readonly state: unknown
}

/** The committed states of deciders: folded on first use, kept up with every commit, the least used forgotten. */
export class StateMemos {
  readonly #byStream: BoundedMap<string, Map<StreamFold<unknown>, Memo>>
  readonly #reader: LogReader

  constructor(reader: LogReader, { cachedStates }: { readonly cachedStates: number }) {
    this.#reader = reader
    this.#byStream = new BoundedMap(cachedStates)
  }

  get(fold: StreamFold<unknown>, stream: string): Memo | undefined {
    return this.#byStream.get(stream)?.get(fold)
  }

  /** Folds a stream as it is committed. */
  async load(fold: StreamFold<unknown>, stream: string): Promise<Memo> {
    let memo: Memo = { revision: -1n, state: fold.initial }
    for await (const event of this.#reader.readStream(stream)) memo = evolveMemo(fold, memo, event)
    const ofStream = this.#byStream.get(stream) ?? new Map<StreamFold<unknown>, Memo>()
    ofStream.set(fold, memo)
    this.#byStream.set(stream, ofStream)
    return memo
  }

  /** Takes in what was committed; a state that cannot follow is forgotten and so folded again at its next use. */
  committed(events: readonly RecordedEvent[]): void {
    for (const event of events) {
      const memos = this.#byStream.get(event.stream)
      for (const [fold, memo] of memos ?? []) {
        try {
          memos?.set(fold, evolveMemo(fold, memo, event))
        } catch {
          memos?.delete(fold)
        }
      }
    }
  }
}

/** The state after one more event of its stream. */
export function evolveMemo(fold: StreamFold<unknown>, memo: Memo, event: RecordedEvent): Memo {
  if (event.revision !== memo.revision + 1n) {
    throw new Error(`Cannot fold stream "${event.stream}": revision ${event.revision} follows ${memo.revision}`)
  }
  return { revision: event.revision, state: fold.evolve(memo.state, event) }
}
