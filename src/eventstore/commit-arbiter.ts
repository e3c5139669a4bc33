import { oneBitApart } from './blob-check.ts'
import type { CheckpointCheck } from './checkpoint-check.ts'
import type { CommitRow } from './commit-cursor.ts'
import type { CommitLeaf, CommitLeaves } from './commit-leaves.ts'
import type { EventRow } from './event-row.ts'
import type { GrowingTree } from './growing-tree.ts'
import { findRepair, partsOf, type Repair, RepairBudget } from './leaf-repair.ts'
import { leafInto } from './leaf-writer.ts'
import type { LogFindings } from './log-finding.ts'
import { sha256Bytes } from './sha256.ts'
import type { NameTables } from './verify-names.ts'

/** What the arbiter works with. `twins`: rows that were left out because another stands at their position. */
export interface ArbiterParts {
  readonly findings: LogFindings
  readonly names: NameTables
  readonly checkpoints: CheckpointCheck
  readonly twins: (position: number) => readonly EventRow[]
}

/** What came out: whether leaves were put right, so that the tree has to be computed again, and which events with them, by position. */
export interface Ruling {
  readonly isRepaired: boolean
  readonly events: ReadonlyMap<number, EventRow>
}

type WrongEvent = { readonly event: EventRow; readonly commit: CommitRow }

// What may be done in search of what was changed: some seconds
const repairLimits = { bytes: 512 << 20, attempts: 500_000 }
const asItIs: Ruling = { isRepaired: false, events: new Map() }

/**
 * Decides what was changed where the root of a commit is not that of its events. Leaves, tiles, roots and checkpoints tell each other's
 * faults: a root that fits the recorded leaf of an event says that the event was changed, one that fits the next commit that the root was.
 */
export class CommitArbiter {
  readonly #parts: ArbiterParts
  readonly #budget = new RepairBudget(repairLimits)
  /** A commit whose root its events do not give, as long as it is not clear which of both is wrong. */
  #suspect: { readonly commit: CommitRow; readonly place: string } | null = null
  #isLost = false

  constructor(parts: ArbiterParts) {
    this.#parts = parts
  }

  /** True once no later root can be compared, since the leaves before it are not known. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** Compares the root of a commit with that of its leaves. */
  rule(commit: CommitRow, { leaves, tree }: { readonly leaves: CommitLeaves; readonly tree: GrowingTree }): Ruling {
    if (this.#isLost) return asItIs
    const root = tree.root()
    if (Buffer.compare(root, commit.root) === 0) {
      this.settle('fits')
      return asItIs
    }
    const { different } = leaves
    if (different.length > 0) return this.#trustTiles(commit, different)
    const signed = this.#parts.checkpoints.signedRoot(BigInt(tree.size))
    if (oneBitApart(root, commit.root) || (signed !== null && Buffer.compare(signed, root) === 0)) {
      this.#wrongRoot(commit)
      return asItIs
    }
    return this.#trustRoot(commit, { leaves, tree })
  }

  /** Notes that root and leaves of a commit contradict each other: the next commit tells which are wrong. */
  doubt(commit: CommitRow, { leaves }: CommitLeaves): void {
    if (this.#suspect !== null) return this.settle('differs')
    const [first, last] = [leaves[0]?.position, leaves.at(-1)?.position]
    this.#suspect = { commit, place: first === last ? `@${first}` : `@${first} to @${last}` }
  }

  /** Settles a doubt by the next commit; null: there is none. */
  settle(next: 'fits' | 'differs' | null): void {
    const suspect = this.#suspect
    this.#suspect = null
    if (suspect === null) return
    if (next === 'fits') return this.#wrongRoot(suspect.commit)
    const { commitNo, firstPos } = suspect.commit
    const text = `the events of commit ${commitNo} (${suspect.place}) do not give its root: one of them was changed, or the root`
    const about = { position: firstPos, text }
    const columns = ['stream_id', 'revision', 'type_id', 'event_id', 'data', 'meta']
    this.#parts.findings.add({ table: 'event', key: suspect.place, columns, ...about })
    if (next === null) this.#parts.findings.add({ table: 'commit', key: String(commitNo), columns: ['root'], ...about })
    this.#isLost = true
  }

  /** Root and tile agree against the events, or are taken to: the events were changed. */
  #trustTiles(commit: CommitRow, different: readonly CommitLeaf[]): Ruling {
    const events = new Map<number, EventRow>()
    for (const leaf of different) {
      const { event, recorded } = leaf
      if (recorded === null) continue
      leaf.leaf = recorded
      if (event === null) continue
      const known = this.#recordedRow({ event, commit }, recorded)
      events.set(event.position, known ?? this.#repair({ event, commit }, recorded))
    }
    return { isRepaired: true, events }
  }

  /** No tile speaks for the events of this commit: the one whose repair gives the root was changed. */
  #trustRoot(
    commit: CommitRow,
    { leaves, tree }: { readonly leaves: CommitLeaves; readonly tree: GrowingTree },
  ): Ruling {
    for (const leaf of leaves.unrecorded) {
      const { event, position } = leaf
      const way = leaves.wayUp(position, tree)
      if (event === null || way === null) continue
      const found = { leaf: leaf.leaf }
      const repair = this.#search({ event, commit }, (each) => {
        if (Buffer.compare(way(each), commit.root) !== 0) return false
        found.leaf = Buffer.from(each)
        return true
      })
      if (repair === null) continue
      leaf.leaf = found.leaf
      return { isRepaired: true, events: new Map([[position, repair.event]]) }
    }
    this.doubt(commit, leaves)
    return asItIs
  }

  /** A second row at the position that is the recorded one; or the event itself, where an earlier repair of a name covers it. */
  #recordedRow({ event, commit }: WrongEvent, recorded: Uint8Array): EventRow | null {
    const leaf = Buffer.alloc(sha256Bytes)
    for (const candidate of [event, ...this.#parts.twins(event.position)]) {
      leafInto(leaf, 0, partsOf(candidate, { commit, names: this.#parts.names }))
      if (Buffer.compare(leaf, recorded) === 0) return candidate
    }
    return null
  }

  #repair(wrong: WrongEvent, recorded: Uint8Array): EventRow {
    const { event, commit } = wrong
    const repair = this.#search(wrong, (leaf) => Buffer.compare(leaf, recorded) === 0)
    if (repair !== null) return repair.event
    const { position } = event
    const columns = ['stream_id', 'revision', 'type_id', 'event_id', event.data === null ? 'data_hash' : 'data', 'meta']
    const text = `event @${position} is not the one that was recorded: one of these columns, the name of its stream or of its type, or time or epoch of commit ${commit.commitNo} was changed`
    this.#parts.findings.add({ table: 'event', key: String(position), columns, position: BigInt(position), text })
    return event
  }

  #search(wrong: WrongEvent, accept: (leaf: Buffer) => boolean): Repair | null {
    const repair = findRepair({ ...wrong, names: this.#parts.names }, { accept, budget: this.#budget })
    if (repair === null) return null
    const { table, key, column, what } = repair
    repair.fix()
    const text = `${what} is not what was recorded: its ${column} was changed`
    const position = BigInt(wrong.event.position)
    this.#parts.findings.add({ table, key, columns: [column], position, text })
    return repair
  }

  #wrongRoot({ commitNo, firstPos, lastPos }: CommitRow): void {
    const text = `commit ${commitNo} has another root than its events give`
    const position = lastPos >= firstPos ? firstPos : null
    this.#parts.findings.add({ table: 'commit', key: String(commitNo), columns: ['root'], position, text })
  }
}
