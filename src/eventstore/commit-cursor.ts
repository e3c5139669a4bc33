import type { LogFindings } from './log-finding.ts'
import { fieldsOf, type LogSource } from './log-tables.ts'
import { RowQueue } from './row-queue.ts'

/** A row of table `commit` as it was read. */
export interface CommitRow {
  readonly commitNo: bigint
  readonly prevCommit: bigint | null
  readonly prevLast: bigint | null
  readonly firstPos: bigint
  readonly lastPos: bigint
  atUs: bigint
  epoch: number
  readonly root: Buffer
}

const mostLookups = 8

/**
 * The commits in the order of their numbers. A row whose number was changed stands elsewhere: it is known by its positions, told, and put
 * where it belongs.
 */
export class CommitCursor {
  readonly #source: LogSource
  readonly #findings: LogFindings
  readonly #queue: RowQueue
  readonly #strays: CommitRow[] = []
  /** First positions of rows that were found ahead of their turn. */
  readonly #explained = new Set<bigint>()
  #lookups = 0

  constructor(source: LogSource, { from, findings }: { readonly from: bigint; readonly findings: LogFindings }) {
    this.#source = source
    this.#findings = findings
    this.#queue = new RowQueue(from === 0n ? source.rows('commit') : source.rows('commit', from))
  }

  /** The commit with a number, whose first event must have the given position; null where the log ends before it. */
  async next(commitNo: bigint, firstPos: bigint): Promise<CommitRow | null> {
    await this.#holdUpTo(commitNo)
    const own = this.#takeHeld((row) => row.commitNo === commitNo && row.firstPos === firstPos)
    if (own !== null) return own
    const moved = this.#takeHeld(
      (row) => row.commitNo !== commitNo && row.firstPos === firstPos && row.lastPos >= firstPos,
    )
    if (moved !== null) return this.#explain(moved, commitNo)
    const changed = this.#takeHeld((row) => row.commitNo === commitNo)
    if (changed !== null) return changed
    if (this.#queue.isEmpty) await this.#queue.fill()
    if (this.#queue.peek() === null) return null
    const found = await this.#lookUp(firstPos)
    if (found !== null) {
      this.#explained.add(found.firstPos)
      return this.#explain(found, commitNo)
    }
    this.#add(commitNo, { columns: ['commit_no'], position: firstPos, text: `commit ${commitNo} is missing` })
    return null
  }

  /** The row that follows one that was given, as it stands: of several the one that begins where that ends. */
  async follower({ commitNo, lastPos }: CommitRow): Promise<CommitRow | null> {
    await this.#holdUpTo(commitNo + 1n)
    const held = this.#strays.filter((row) => row.commitNo === commitNo + 1n)
    return held.find(({ firstPos }) => firstPos === lastPos + 1n) ?? held[0] ?? (await this.peek())
  }

  /** The next row that was not looked at yet; null at the end. */
  async peek(): Promise<CommitRow | null> {
    if (this.#queue.isEmpty) await this.#queue.fill()
    const row = this.#queue.peek()
    return row === null ? null : commitRow(row)
  }

  /** Tells of the rows that belong nowhere. */
  async finish(): Promise<void> {
    for (let row = await this.#queue.next(); row !== null; row = await this.#queue.next())
      this.#strays.push(commitRow(row))
    for (const { commitNo, firstPos } of this.#strays) {
      if (this.#explained.has(firstPos)) continue
      const text = `commit ${commitNo} follows no other: its number is not its own`
      this.#add(commitNo, { columns: ['commit_no'], position: firstPos, text })
    }
  }

  async close(): Promise<void> {
    await this.#queue.close()
  }

  async #holdUpTo(commitNo: bigint): Promise<void> {
    for (;;) {
      if (this.#queue.isEmpty) await this.#queue.fill()
      const row = this.#queue.peek()
      if (row === null || row.readBigInt64BE(6) > commitNo) return
      this.#queue.take()
      this.#strays.push(commitRow(row))
    }
  }

  #takeHeld(wanted: (row: CommitRow) => boolean): CommitRow | null {
    const at = this.#strays.findIndex((row) => !this.#explained.has(row.firstPos) && wanted(row))
    const [row] = at === -1 ? [] : this.#strays.splice(at, 1)
    return row ?? null
  }

  #explain(row: CommitRow, commitNo: bigint): CommitRow {
    const text = `commit ${commitNo} is missing, its row has the number ${row.commitNo}`
    this.#add(row.commitNo, { columns: ['commit_no'], position: row.firstPos, text })
    return { ...row, commitNo }
  }

  async #lookUp(firstPos: bigint): Promise<CommitRow | null> {
    this.#lookups += 1
    if (this.#lookups > mostLookups) return null
    for await (const page of this.#source.rows('commit') ?? []) {
      for (const row of page) {
        const commit = commitRow(row)
        if (commit.firstPos === firstPos && commit.lastPos >= firstPos) return commit
      }
    }
    return null
  }

  #add(
    commitNo: bigint,
    what: { readonly columns: readonly string[]; readonly position: bigint; readonly text: string },
  ) {
    this.#findings.add({ table: 'commit', key: String(commitNo), ...what })
  }
}

/** Takes a row of table `commit` apart. */
export function commitRow(row: Buffer): CommitRow {
  const [no, prevCommit, prevLast, first, last, at, epoch, root] = fieldsOf(row, 8)
  if (!no || !first || !last || !at || !epoch || !root) throw new RangeError('a row of table commit has a null')
  return {
    commitNo: no.readBigInt64BE(),
    prevCommit: prevCommit?.readBigInt64BE() ?? null,
    prevLast: prevLast?.readBigInt64BE() ?? null,
    firstPos: first.readBigInt64BE(),
    lastPos: last.readBigInt64BE(),
    atUs: at.readBigInt64BE(),
    epoch: epoch.readInt32BE(),
    root,
  }
}
