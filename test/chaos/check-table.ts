import type { Findings } from './findings.ts'
import type { Claims, LoggedCommit, LoggedEvent, LoggedLog } from './history.ts'

/** What the table shows by itself: density, uniqueness, counters that add up, the chain of commits and its roots. */
export function checkTable({ events, commits }: LoggedLog, findings: Findings, claims: Claims): void {
  checkPositions(events, findings, claims)
  checkRevisions(events, findings, claims)
  checkUnique(events, findings)
  checkCounters(events, findings)
  if (commits !== null) checkCommits({ events, commits }, findings)
}

function checkPositions(events: readonly LoggedEvent[], findings: Findings, { densePositions }: Claims): void {
  let last = -1n
  for (const { position } of events) {
    const fits = densePositions ? position === last + 1n : position > last
    if (!fits) findings.add('reordered', `position ${position} follows ${last} in the table`)
    last = position
  }
}

function checkRevisions(events: readonly LoggedEvent[], findings: Findings, { firstRevision }: Claims): void {
  const next = new Map<string, bigint>()
  for (const { stream, revision, position } of events) {
    const wanted = next.get(stream) ?? firstRevision
    if (revision !== wanted) {
      findings.add('reordered', `stream "${stream}" has revision ${revision} at position ${position}, wanted ${wanted}`)
    }
    next.set(stream, revision + 1n)
  }
}

function checkUnique(events: readonly LoggedEvent[], findings: Findings): void {
  const ids = new Map<string, bigint>()
  const keys = new Map<string, bigint>()
  for (const { eventId, key, position } of events) {
    const sameId = ids.get(eventId)
    const sameKey = key === null ? undefined : keys.get(key)
    const name = key ?? eventId
    if (sameId !== undefined) findings.add('duplicated', `event ${name} stands at positions ${sameId} and ${position}`)
    else if (sameKey !== undefined)
      findings.add('duplicated', `event ${name} stands at positions ${sameKey} and ${position}, under two ids`)
    ids.set(eventId, position)
    if (key !== null) keys.set(key, position)
  }
}

/** In a stream of counters each event holds the number of its predecessor plus one: what two writers decided on one state shows. */
function checkCounters(events: readonly LoggedEvent[], findings: Findings): void {
  const values = new Map<string, number>()
  for (const { stream, value, position } of events) {
    if (value === null) continue
    const wanted = (values.get(stream) ?? 0) + 1
    if (value !== wanted)
      findings.add('update', `counter "${stream}" is ${value} at position ${position}, wanted ${wanted}`)
    values.set(stream, value)
  }
}

interface Chain {
  readonly events: readonly LoggedEvent[]
  readonly commits: readonly LoggedCommit[]
}

function checkCommits({ events, commits }: Chain, findings: Findings): void {
  let before: LoggedCommit | null = null
  for (const commit of commits) {
    const name = `commit ${commit.commitNo}`
    if (
      commit.commitNo !== (before?.commitNo ?? -1n) + 1n ||
      commit.firstPosition !== (before?.lastPosition ?? -1n) + 1n
    )
      findings.add('reordered', `${name} does not follow commit ${before?.commitNo ?? 'none'}`)
    if (before !== null && commit.recordedAtUs <= before.recordedAtUs)
      findings.add('stamp', `${name} is stamped ${commit.recordedAtUs}, the one before ${before.recordedAtUs}`)
    if (before !== null && commit.epoch < before.epoch)
      findings.add('writer', `${name} is of epoch ${commit.epoch}, the one before of ${before.epoch}`)
    if (commit.root !== commit.computedRoot)
      findings.add('root', `${name} has the root ${commit.root}, its events give ${commit.computedRoot}`)
    before = commit
  }
  let at = 0
  for (const { position, commitNo } of events) {
    while ((commits[at]?.lastPosition ?? position) < position) at += 1
    if (commits[at]?.commitNo !== commitNo)
      findings.add(
        'torn',
        `position ${position} says commit ${commitNo}, it lies in commit ${commits[at]?.commitNo ?? 'none'}`,
      )
  }
  const last = events.at(-1)?.position ?? -1n
  if (before !== null && before.lastPosition !== last)
    findings.add('lost', `the last commit ends at position ${before.lastPosition}, the last event stands at ${last}`)
}
