import type { BlockJobRow } from '../../projections/block-jobs.ts'
import { Fault } from '../util/fault.ts'
import type { RowsOf } from '../readmodel/table.ts'
import type { blockJobsTable } from '../../projections/block-jobs.ts'

/** Lets callers wait, with a limit, until a block job has an outcome in the log, and remembers which were given up before one could be recorded. */
export class JobEnds {
  readonly #rows: RowsOf<typeof blockJobsTable>
  readonly #givenUp = new Set<string>()
  readonly #frozenMs = new Map<string, number>()
  readonly #waiting = new Map<string, Set<(row: BlockJobRow) => void>>()

  constructor(rows: RowsOf<typeof blockJobsTable>) {
    this.#rows = rows
  }

  /** The job's row once it ended. Throws `operation_timeout` after the limit; the job goes on all the same. */
  async wait(jobId: string, limitMs: number): Promise<BlockJobRow> {
    const ended = this.#ended(jobId)
    if (ended !== null) return ended
    const { promise, resolve, reject } = Promise.withResolvers<BlockJobRow>()
    const waiting = this.#waiting.get(jobId) ?? new Set()
    this.#waiting.set(jobId, waiting.add(resolve))
    const timer = setTimeout(
      () =>
        reject(
          new Fault(
            'operation_timeout',
            `The block job ${jobId} did not end within ${limitMs / 1000} s; what was asked for is recorded and will be carried out`,
          ),
        ),
      limitMs,
    )
    return await promise.finally(() => {
      clearTimeout(timer)
      waiting.delete(resolve)
      if (waiting.size === 0) this.#waiting.delete(jobId)
    })
  }

  /** The hypervisor was told to give a job up although a record of its effect may be durable: nothing has been taken out of the chain. */
  noteGivenUp(jobId: string): void {
    this.#givenUp.add(jobId)
  }

  isGivenUp(jobId: string): boolean {
    return this.#givenUp.has(jobId)
  }

  /** How long a job held its guest's writes, in milliseconds. */
  noteFrozen(jobId: string, ms: number): void {
    this.#frozenMs.set(jobId, ms)
  }

  /** What was measured of a job; null where this daemon did not see it from the beginning. */
  frozenMs(jobId: string): number | null {
    return this.#frozenMs.get(jobId) ?? null
  }

  /** To be called after each commit that concerned the job. */
  noteCommit(jobId: string): void {
    if (this.#ended(jobId) !== null) {
      this.#givenUp.delete(jobId)
      this.#frozenMs.delete(jobId)
    }
    const waiting = this.#waiting.get(jobId)
    if (waiting === undefined) return
    const ended = this.#ended(jobId)
    if (ended !== null) for (const resolve of waiting) resolve(ended)
  }

  #ended(jobId: string): BlockJobRow | null {
    const row = this.#rows.get({ job_id: jobId })
    return row === undefined || row.ended_at_us === null ? null : row
  }
}
