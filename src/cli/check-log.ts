import { eventLeaf } from '../eventstore/event-leaf.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { appendLeaves, emptyTree, type TreeEdge, treeRoot } from '../eventstore/tree-edge.ts'
import { type CheckResult, Findings } from './check-result.ts'

/** A row of the chain of commits. */
export interface CommitRow {
  readonly commitNo: bigint
  readonly prevCommit: bigint | null
  readonly prevLast: bigint | null
  readonly firstPos: bigint
  readonly lastPos: bigint
  readonly atUs: bigint
  readonly epoch: number
  readonly root: Uint8Array
}

/**
 * I4 and I5 over the whole log, read once from position 0: positions and revisions without gaps, every event in its
 * commit, commits that follow each other, and the root of every commit recomputed from the events themselves.
 */
export class LogCheck {
  readonly #chain = new Findings()
  readonly #tree = new Findings()
  readonly #revisions = new Map<string, bigint>()
  #events = 0n
  #commits = 0n
  #edge: TreeEdge = emptyTree
  #before: CommitRow | null = null
  #treeBroken = false

  /** Takes a commit with all its events, in the order of the log. */
  take(commit: CommitRow, events: readonly RecordedEvent[]): void {
    this.#followsOn(commit)
    this.#before = commit
    this.#commits++
    for (const event of events) this.#takeEvent(event, commit)
    const expected = commit.lastPos - commit.firstPos + 1n
    if (BigInt(events.length) !== expected) {
      this.#chain.add(`commit ${commit.commitNo} has ${events.length} events, its positions say ${expected}`)
    }
    this.#edge = appendLeaves(this.#edge, events.map(eventLeaf))
    this.#compareRoot(commit)
  }

  /** Notes that the log could not be read any further. */
  breakOff(why: string): void {
    this.#chain.add(why)
  }

  results(): { readonly chain: CheckResult; readonly tree: CheckResult } {
    const note = `${this.#events} events in ${this.#commits} commits, ${this.#revisions.size} streams`
    return {
      chain: this.#chain.result({
        id: 'I4',
        title: 'positions and revisions without gaps, commits in one chain',
        note,
      }),
      tree: this.#tree.result({
        id: 'I5',
        title: 'the tree of every commit, recomputed from position 0',
        note: `${this.#commits} roots`,
      }),
    }
  }

  #followsOn(commit: CommitRow): void {
    const before = this.#before
    const { commitNo, prevCommit, prevLast, firstPos, atUs, epoch } = commit
    if (before === null) {
      const genesis = commitNo === 0n && prevCommit === null && prevLast === null && firstPos === 0n
      if (!genesis) this.#chain.add(`commit ${commitNo} is the first, but it is no genesis`)
      return
    }
    if (commitNo !== before.commitNo + 1n || prevCommit !== before.commitNo) {
      this.#chain.add(`commit ${commitNo} names ${String(prevCommit)} as the one before it, that is ${before.commitNo}`)
    }
    if (firstPos !== before.lastPos + 1n || prevLast !== before.lastPos) {
      this.#chain.add(`commit ${commitNo} begins at @${firstPos}, the one before it ends at @${before.lastPos}`)
    }
    if (atUs <= before.atUs) this.#chain.add(`commit ${commitNo} is not stamped later than the one before it`)
    if (epoch < before.epoch)
      this.#chain.add(`commit ${commitNo} is of epoch ${epoch}, the one before it of ${before.epoch}`)
  }

  #takeEvent({ position, stream, revision, commitNo }: RecordedEvent, commit: CommitRow): void {
    if (position !== this.#events) this.#chain.add(`@${position} stands where @${this.#events} should be`)
    this.#events = position + 1n
    if (commitNo !== commit.commitNo) {
      this.#chain.add(`@${position} is of commit ${commitNo}, its position is of commit ${commit.commitNo}`)
    }
    const expected = (this.#revisions.get(stream) ?? -1n) + 1n
    if (revision !== expected)
      this.#chain.add(`@${position} is revision ${revision} of ${stream}, it should be ${expected}`)
    this.#revisions.set(stream, revision)
  }

  /** After the first wrong root all later ones are wrong, too: only the first tells where. */
  #compareRoot({ commitNo, firstPos, lastPos, root }: CommitRow): void {
    if (this.#treeBroken) return
    const found = treeRoot(this.#edge)
    if (Buffer.compare(found, root) === 0) return
    this.#treeBroken = true
    const events = firstPos > lastPos ? 'no events' : `events @${firstPos} to @${lastPos}`
    this.#tree.add(
      `commit ${commitNo} (${events}): the events give another root than was recorded; every later root follows it`,
    )
  }
}
