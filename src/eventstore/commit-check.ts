import type { CommitRow } from './commit-cursor.ts'
import type { LogFindings } from './log-finding.ts'

/** What a commit must say of itself, from the one before it. */
export interface CommitPlace {
  readonly commitNo: bigint
  readonly firstPos: bigint
}

/** Checks the columns of a commit that follow from the commits around it. */
export class CommitCheck {
  readonly #findings: LogFindings
  #before: CommitRow | null = null

  constructor(findings: LogFindings) {
    this.#findings = findings
  }

  /**
   * Compares the row with its place; returns where its events end. `next` is the row after it as it stands: where that begins elsewhere
   * and names the end of its predecessor so, it is this row's end that was changed.
   */
  take(row: CommitRow, { place, next }: { readonly place: CommitPlace; readonly next: CommitRow | null }): bigint {
    const { commitNo, firstPos } = place
    const isGenesis = commitNo === 0n
    if (row.prevCommit !== (isGenesis ? null : commitNo - 1n)) {
      this.#add(row, 'prev_commit', `names ${String(row.prevCommit)} as the commit before it`)
    }
    if (row.prevLast !== (isGenesis ? null : firstPos - 1n)) {
      this.#add(
        row,
        'prev_last',
        `names @${String(row.prevLast)} as the last event before it, that is @${firstPos - 1n}`,
      )
    }
    if (row.firstPos !== firstPos)
      this.#add(row, 'first_pos', `begins at @${row.firstPos}, its first event is @${firstPos}`)
    const lastPos = this.#lastPos(row, { place, next })
    if (row.lastPos !== lastPos) this.#add(row, 'last_pos', `ends at @${row.lastPos}, its last event is @${lastPos}`)
    return lastPos
  }

  /** Checks time and epoch, once the leaves have shown what they were. */
  stamps(row: CommitRow): void {
    const before = this.#before
    this.#before = row
    if (before === null) return
    // Stamps are in the leaves, but for that of the genesis, which has none.
    if (row.atUs <= before.atUs && before.commitNo === 0n)
      this.#add(before, 'at_us', 'is not stamped before the first event')
    else if (row.atUs <= before.atUs) this.#add(row, 'at_us', 'is not stamped later than the one before it')
    if (row.epoch !== before.epoch && row.epoch !== before.epoch + 1) {
      this.#add(row, 'epoch', `is of epoch ${row.epoch}, the one before it of ${before.epoch}`)
    }
  }

  #lastPos(row: CommitRow, { place, next }: { readonly place: CommitPlace; readonly next: CommitRow | null }): bigint {
    const { commitNo, firstPos } = place
    if (commitNo === 0n) return -1n
    if (next?.commitNo !== commitNo + 1n) return row.lastPos
    const follows = next.firstPos === row.lastPos + 1n || next.prevLast === row.lastPos
    const agrees = next.prevLast !== null && next.firstPos === next.prevLast + 1n && next.prevLast >= firstPos
    return !follows && agrees ? next.firstPos - 1n : row.lastPos
  }

  #add({ commitNo, firstPos, lastPos }: CommitRow, column: string, text: string): void {
    const position = lastPos >= firstPos ? firstPos : null
    this.#findings.add({
      table: 'commit',
      key: String(commitNo),
      columns: [column],
      position,
      text: `commit ${commitNo} ${text}`,
    })
  }
}
