import type pg from 'pg'
import { FencedError } from './append-errors.ts'

/**
 * The latest time for which an answer was promised never to change, kept beside the name of the writer. Memory would not do: the next
 * writer must stamp after it too, although its clock may be behind, and a writer that was replaced without knowing it must not promise.
 */
export class AsOfFloor {
  readonly #pool: pg.Pool
  readonly #session: string
  #raisedToUs = -1n

  /** `session` is the token under which this process is recorded as the writer. */
  constructor(pool: pg.Pool, session: string) {
    this.#pool = pool
    this.#session = session
  }

  /** Records a time before an answer for it is given. Throws {@link FencedError} where another writer has been recorded since. */
  async raise(timeUs: bigint): Promise<void> {
    if (timeUs <= this.#raisedToUs) return
    const { rowCount } = await this.#pool.query(
      'update writer set as_of_us = greatest(as_of_us, $1::int8) where session = $2::uuid',
      [timeUs, this.#session],
    )
    if (rowCount !== 1) {
      throw new FencedError(`Cannot say what the log was at ${timeUs} microseconds since 1970: another writer holds it`)
    }
    if (timeUs > this.#raisedToUs) this.#raisedToUs = timeUs
  }
}
