import type { Batch } from './batch.ts'
import type { StreamFold } from './stream-fold.ts'
import type { Turn } from './turn.ts'

/** What a decision asked for that is not in memory. */
export type Missing =
  | { readonly kind: 'revision'; readonly stream: string }
  | { readonly kind: 'state'; readonly stream: string; readonly fold: StreamFold<unknown> }

/** What a decision sees of a batch; `missing` fills with what it asked for in vain. */
export class BatchTurn implements Turn {
  readonly missing: Missing[] = []
  readonly recordedAtUs: bigint
  readonly nextPosition: bigint
  readonly #batch: Batch

  constructor(batch: Batch) {
    this.recordedAtUs = batch.recordedAtUs
    this.nextPosition = batch.nextPosition
    this.#batch = batch
  }

  revision(stream: string): bigint | null {
    const staged = this.#batch.stream(stream)
    if (staged !== undefined) return staged.revision
    this.missing.push({ kind: 'revision', stream })
    throw new NotLoadedError(`The head of stream "${stream}" has to be read first`)
  }

  state<State>(fold: StreamFold<State>, stream: string): State
  state(fold: StreamFold<unknown>, stream: string): unknown {
    const memo = this.#batch.state(fold, stream)
    if (memo !== undefined) return memo.state
    this.missing.push({ kind: 'state', fold, stream })
    throw new NotLoadedError(`Stream "${stream}" has to be read first`)
  }
}

/** Thrown through a decision that has to wait for what it asked; the turn knows what it was. */
class NotLoadedError extends Error {}
