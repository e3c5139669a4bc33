import { Tally } from './tally.ts'

/** Why appends were refused: one row for each class of error, by its name; whatever else a decision or a participant throws is theirs. */
const reasons: ReadonlyMap<string, RefusalReason> = new Map([
  ['WrongExpectedRevisionError', 'wrong_expected_revision'],
  ['InvalidAppendError', 'invalid'],
  ['RequestWindowError', 'request_window'],
  ['RequestMismatchError', 'request_mismatch'],
  ['LogBusyError', 'busy'],
  ['LogUnavailableError', 'unavailable'],
  ['CommitInDoubtError', 'in_doubt'],
  ['FencedError', 'fenced'],
  ['LogClosedError', 'closed'],
])

/** A reason for which an append was refused. */
export type RefusalReason =
  | 'wrong_expected_revision'
  | 'invalid'
  | 'request_window'
  | 'request_mismatch'
  | 'busy'
  | 'unavailable'
  | 'in_doubt'
  | 'fenced'
  | 'closed'
  | 'decision'

/** All of them. */
export const refusalReasons: readonly RefusalReason[] = [...reasons.values(), 'decision']

const latencyBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const batchBounds = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000]

/** What a writer has done since it was opened. Numbers only, added to a few times a commit, read by whoever wants to know. */
export class WriterStats {
  /** Seconds from the call of append to its answer, of those that succeeded. */
  readonly appendSeconds = new Tally(latencyBounds)
  /** Seconds that commits took in the database. */
  readonly commitSeconds = new Tally(latencyBounds)
  /** Events of each commit. */
  readonly batchEvents = new Tally(batchBounds)
  readonly refused = new Map<RefusalReason, number>()
  /** Commits whose outcome took longer to find out than their callers were to wait. */
  inDoubt = 0

  /** A commit of some events was recorded, after so many milliseconds. */
  commit(events: number, tookMs: number): void {
    this.batchEvents.add(events)
    this.commitSeconds.add(tookMs / 1_000)
  }

  /** An append succeeded, after so many milliseconds. */
  answer(tookMs: number): void {
    this.appendSeconds.add(tookMs / 1_000)
  }

  /** An append was refused. */
  refuse(error: unknown): void {
    const reason = (error instanceof Error ? reasons.get(error.name) : undefined) ?? 'decision'
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1)
  }
}
