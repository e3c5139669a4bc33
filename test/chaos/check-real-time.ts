import type { LogIndex } from './check-history.ts'
import type { Findings } from './findings.ts'
import type { ChaosHistory, LoggedEvent, Operation } from './history.ts'

interface Check {
  readonly index: LogIndex
  readonly findings: Findings
}

/**
 * What was acknowledged before something began lies before it: an append that began later has higher positions, a read or a refusal
 * that began later shows at least that revision, and an as-of answer never changes.
 */
export function checkRealTime(history: ChaosHistory, { index, findings }: Check): void {
  const acknowledged = history.operations.flatMap((operation) => {
    const logged = operation.told.kind === 'acknowledged' ? loggedEvents(operation, index) : []
    return logged.length === 0 ? [] : [{ operation, logged }]
  })
  const known = new KnownLater(acknowledged.toSorted((a, b) => a.operation.endTick - b.operation.endTick))
  for (const begun of inOrderOfStart(history, acknowledged)) {
    known.advance(begun.startTick)
    if (begun.kind === 'append') {
      if (known.position > begun.position)
        findings.add(
          'reordered',
          `${begun.what} stands at ${begun.position}, ${known.position} was acknowledged before it began`,
        )
    } else {
      const before = known.revisions.get(begun.stream)
      if (before !== undefined && (begun.revision ?? -1n) < before)
        findings.add(
          'stale',
          `${begun.what} "${begun.stream}" at ${begun.revision ?? 'nothing'}, ${before} was acknowledged before`,
        )
    }
  }
  checkMoments(history, findings)
}

interface Acknowledged {
  readonly operation: Operation
  readonly logged: readonly LoggedEvent[]
}

/** Highest position and revisions among what was acknowledged before a tick; ticks may only grow. */
class KnownLater {
  readonly #byEnd: readonly Acknowledged[]
  #next = 0
  position = -1n
  readonly revisions = new Map<string, bigint>()

  constructor(byEnd: readonly Acknowledged[]) {
    this.#byEnd = byEnd
  }

  advance(tick: number): void {
    for (let each = this.#byEnd[this.#next]; each !== undefined; each = this.#byEnd[this.#next]) {
      if (each.operation.endTick >= tick) return
      for (const { position, stream, revision } of each.logged) {
        if (position > this.position) this.position = position
        if (revision > (this.revisions.get(stream) ?? -1n)) this.revisions.set(stream, revision)
      }
      this.#next += 1
    }
  }
}

type Begun =
  | { readonly kind: 'append'; readonly startTick: number; readonly position: bigint; readonly what: string }
  | {
      readonly kind: 'look'
      readonly startTick: number
      readonly stream: string
      readonly revision: bigint | null
      readonly what: string
    }

function inOrderOfStart(history: ChaosHistory, acknowledged: readonly Acknowledged[]): readonly Begun[] {
  const begun: Begun[] = acknowledged.map(({ operation, logged }) => ({
    kind: 'append',
    startTick: operation.startTick,
    position: logged.reduce((least, { position }) => (position < least ? position : least), logged[0]?.position ?? 0n),
    what: operation.id,
  }))
  for (const { id, startTick, told } of history.operations) {
    if (told.kind !== 'refused' || told.wrongRevision === null) continue
    const { stream, current } = told.wrongRevision
    begun.push({ kind: 'look', startTick, stream, revision: current, what: `${id} was refused with` })
  }
  for (const { startTick, stream, revision } of history.revisions)
    begun.push({ kind: 'look', startTick, stream, revision, what: 'a read showed' })
  return begun.toSorted((a, b) => a.startTick - b.startTick)
}

/** An operation that was tried again began with its first try and may have been recorded by then. */
function loggedEvents(operation: Operation, index: LogIndex): readonly LoggedEvent[] {
  return operation.writes
    .flatMap((write) => write.events.map(({ eventId }) => index.byId.get(eventId)))
    .filter((event) => event !== undefined)
}

function checkMoments({ moments, log }: ChaosHistory, findings: Findings): void {
  const commits = log.commits ?? []
  for (const { timeUs, position } of moments) {
    const at = commits.findLastIndex(({ recordedAtUs }) => recordedAtUs <= timeUs)
    const wanted = commits[at]?.lastPosition ?? -1n
    if (wanted !== position)
      findings.add('stamp', `at ${timeUs} us the log ended at position ${wanted}, the answer was ${position}`)
  }
}
