import { WrongExpectedRevisionError } from './append-errors.ts'
import type { LogHead } from './recorded-event.ts'
import type { AppendRequest, StagedAppend } from './stager.ts'
import { WriterStats } from './writer-stats.ts'

/** Answers appends, and counts what they were told. */
export class AppendAnswers {
  readonly stats = new WriterStats()
  readonly #late: (() => void)[] = []

  /** Tells those who are in the log; `head` is its end. */
  resolve(staged: readonly StagedAppend[], head: LogHead): void {
    const nowMs = performance.now()
    for (const { request, events } of staged) {
      const last = events.at(-1)
      this.stats.answer(nowMs - request.atMs)
      request.resolve({
        commitNo: last?.commitNo ?? head.commitNo,
        lastPosition: last?.position ?? head.position,
        events,
      })
    }
  }

  /** Tells those whose outcome takes too long to find out; only the first time. */
  doubter(staged: readonly StagedAppend[]): (error: Error) => void {
    let isTold = false
    return (error) => {
      if (isTold) return
      isTold = true
      this.stats.inDoubt += 1
      for (const { request } of staged) this.reject(request, error)
    }
  }

  reject(request: AppendRequest, error: unknown): void {
    this.stats.refuse(error)
    request.reject(error)
  }

  /**
   * Refuses a request now; where a revision was not the expected one that may be for what the batch itself holds, so then when it is
   * known what became of that: whoever reads the stream and asks again finds it.
   */
  rejectOrLater(request: AppendRequest, error: unknown, { isBatchEmpty }: { readonly isBatchEmpty: boolean }): void {
    if (isBatchEmpty || !(error instanceof WrongExpectedRevisionError)) this.reject(request, error)
    else this.#late.push(() => this.reject(request, error))
  }

  /** Takes those who are to be refused with the batch; what is returned tells them. */
  takeLate(): () => void {
    const late = this.#late.splice(0)
    return () => {
      for (const tell of late) tell()
    }
  }
}
