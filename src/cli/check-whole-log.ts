import { LogCorruptError } from '../eventstore/append-errors.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { auditedEvent } from './audited-event.ts'
import { type CommitRow, LogCheck } from './check-log.ts'
import { type CheckResult, Findings } from './check-result.ts'
import { TaskCheck } from './check-tasks.ts'
import type { History } from './history.ts'
import { tellEvent } from './told-event.ts'

const commitPage = 1_000

/** The invariants that show only when the log is read from position 0 to its end. */
export interface WholeLogResults {
  readonly refused: CheckResult
  readonly repeated: CheckResult
  readonly chain: CheckResult
  readonly tree: CheckResult
  readonly mixed: CheckResult
}

/** Reads the log once for I2, I4, I5 and I10, and asks the database for I3. */
export async function checkWholeLog(history: History): Promise<WholeLogResults> {
  const log = new LogCheck()
  const tasks = new TaskCheck()
  try {
    for await (const { commit, events } of commits(history)) {
      log.take(commit, events)
      for (const event of events) {
        const audited = auditedEvent(tellEvent(event))
        if (audited !== null) tasks.take(audited)
      }
    }
  } catch (error) {
    if (!(error instanceof LogCorruptError)) throw error
    log.breakOff(error.message)
  }
  return { ...log.results(), ...tasks.results(), repeated: await checkEventIds(history) }
}

/** Commits with their events, up to the one that was the last when the reading began. */
async function* commits(
  history: History,
): AsyncGenerator<{ commit: CommitRow; events: readonly RecordedEvent[] }, void> {
  const events = history.log.readAll()[Symbol.asyncIterator]()
  let held: RecordedEvent | null = null
  for await (const commit of commitRows(history)) {
    const ofCommit: RecordedEvent[] = []
    while (true) {
      if (held === null) {
        if (BigInt(ofCommit.length) > commit.lastPos - commit.firstPos) break
        const next = await events.next()
        if (next.done === true) break
        held = next.value
      }
      if (held.position > commit.lastPos) break
      ofCommit.push(held)
      held = null
    }
    yield { commit, events: ofCommit }
  }
}

async function* commitRows(history: History): AsyncGenerator<CommitRow, void> {
  const [last] = await history.rows<{ last: bigint | null }>('select max(commit_no) as last from commit')
  for (let from = 0n; from <= (last?.last ?? -1n); from += BigInt(commitPage)) {
    const rows = await history.rows<CommitRow & { readonly [column: string]: unknown }>(
      `select commit_no as "commitNo", prev_commit as "prevCommit", prev_last as "prevLast", first_pos as "firstPos",
        last_pos as "lastPos", at_us as "atUs", epoch, root from commit
        where commit_no >= $1::int8 and commit_no < $1::int8 + ${commitPage} and commit_no <= $2::int8 order by commit_no`,
      [from, last?.last],
    )
    yield* rows
  }
}

/** I3: an id stands in the log at most once. */
async function checkEventIds(history: History): Promise<CheckResult> {
  const rows = await history.rows<{ event_id: string; positions: readonly string[] }>(
    `select event_id, array_agg(pos::text order by pos) as positions from event group by event_id having count(*) > 1 limit 1000`,
  )
  const findings = new Findings()
  for (const row of rows) findings.add(`event ${row.event_id} stands at @${row.positions.join(', @')}`)
  return findings.result({ id: 'I3', title: 'no event is recorded twice', note: '' })
}
