import type { CheckpointCheck } from './checkpoint-check.ts'
import { CommitArbiter } from './commit-arbiter.ts'
import { CommitCheck } from './commit-check.ts'
import { CommitCursor, type CommitRow } from './commit-cursor.ts'
import { CommitLeaves, recordedAt } from './commit-leaves.ts'
import type { EdgeCheck } from './edge-check.ts'
import type { EventCheck } from './event-check.ts'
import { EventCursor } from './event-cursor.ts'
import type { EventRow } from './event-row.ts'
import { GrowingTree } from './growing-tree.ts'
import { commitPart, rowLeafInto } from './leaf-writer.ts'
import type { LogFindings } from './log-finding.ts'
import type { LogSource } from './log-tables.ts'
import { sha256Bytes } from './sha256.ts'
import { tileWidth } from './tile.ts'
import type { TileCheck } from './tile-check.ts'
import type { TrustedStart } from './trusted-start.ts'
import type { NameTables } from './verify-names.ts'

/** What the recomputation of the tree works with. */
export interface TreeCheckParts {
  readonly source: LogSource
  readonly findings: LogFindings
  readonly names: NameTables
  readonly tiles: TileCheck
  readonly edges: EdgeCheck
  readonly checkpoints: CheckpointCheck
  readonly events: EventCheck
  readonly start: TrustedStart | null
  readonly signal: AbortSignal | null
  readonly onProgress: ((done: bigint) => void) | null
}

/** What was recomputed. `isWhole`: up to the end; else rows are missing without which nothing later can be computed. */
export interface Walked {
  readonly from: bigint
  readonly size: bigint
  readonly commits: bigint
  readonly root: Uint8Array
  readonly genesisUs: bigint | null
  readonly isWhole: boolean
}

/** Positions of a commit that are to be read. */
interface CommitSpan {
  readonly from: bigint
  readonly to: bigint
  readonly isLast: boolean
}

const progressEvents = 65_536
// Events that a last commit may have beyond the end that it states, for these to be recognised as its own
const mostMore = 4_096

/** Recomputes the tree commit by commit from the rows of the events, and compares all that was recorded of it. */
export class TreeCheck {
  readonly #parts: TreeCheckParts
  readonly #commits: CommitCursor
  readonly #rows: EventCursor
  readonly #commitCheck: CommitCheck
  readonly #arbiter: CommitArbiter
  #tree: GrowingTree
  #full: { readonly n: number; readonly row: Buffer; readonly root: Uint8Array }[] = []
  #reference: Uint8Array | null = null
  #referenceOf = -1

  constructor(parts: TreeCheckParts) {
    const { source, findings, start, names, checkpoints } = parts
    this.#parts = parts
    this.#commits = new CommitCursor(source, { from: start?.commitNo ?? 0n, findings })
    this.#rows = new EventCursor(source, { from: start?.position ?? 0n, findings })
    this.#commitCheck = new CommitCheck(findings)
    const twins = (position: number) => this.#rows.twins(position)
    this.#arbiter = new CommitArbiter({ findings, names, checkpoints, twins })
    const mark = start === null ? undefined : { size: Number(start.position), row: Buffer.alloc(0), above: start.above }
    this.#tree = new GrowingTree(this.#onTile, mark)
  }

  async walk(): Promise<Walked> {
    const { start, tiles, names } = this.#parts
    if (start !== null) {
      tiles.startAt(start.position / BigInt(tileWidth))
      names.skipTo(Number(start.position))
    }
    const from = start?.position ?? 0n
    let genesisUs: bigint | null = null
    let [commitNo, firstPos] = [start?.commitNo ?? 0n, start?.commitFirst ?? 0n]
    let isWhole = true
    for (; ; commitNo += 1n) {
      const row = await this.#commits.next(commitNo, firstPos)
      if (row === null) {
        isWhole = (await this.#commits.peek()) === null
        break
      }
      const next = await this.#commits.follower(row)
      const to = this.#commitCheck.take(row, { place: { commitNo, firstPos }, next })
      if (commitNo === 0n) genesisUs = row.atUs
      const lastPos = await this.#commit(row, { from: firstPos > from ? firstPos : from, to, isLast: next === null })
      isWhole = lastPos !== null
      if (lastPos === null) break
      firstPos = lastPos + 1n
    }
    this.#arbiter.settle(null)
    if (isWhole) await this.#finish(from)
    await this.#commits.close()
    await this.#rows.close()
    const size = BigInt(this.#tree.size)
    const commits = commitNo - (start?.commitNo ?? 0n)
    return { from, size, commits, root: this.#tree.root(), genesisUs, isWhole }
  }

  readonly #onTile = (n: number, row: Buffer, root: Uint8Array): void => {
    this.#full.push({ n, row, root })
  }

  async #finish(from: bigint): Promise<void> {
    const { tiles, edges, checkpoints, start, onProgress } = this.#parts
    await this.#commits.finish()
    await this.#rows.finish()
    const { size, row } = this.#tree
    tiles.compare(BigInt(Math.floor(size / tileWidth)), { hashes: row, width: size % tileWidth, root: null })
    edges.finish(start?.checkpoint.size ?? 0n)
    checkpoints.finish(from)
    onProgress?.(BigInt(this.#tree.size))
  }

  /** One commit: its events, its root, what ends with it. Returns its last position, null where its events end before it does. */
  async #commit(row: CommitRow, span: CommitSpan): Promise<bigint | null> {
    const { tiles, edges, checkpoints, events } = this.#parts
    const leaves = new CommitLeaves(this.#tree.mark())
    const lastPos = await this.#readCommit(row, { ...span, leaves })
    if (lastPos === null) return null
    const ruling = this.#arbiter.rule(row, { leaves, tree: this.#tree })
    if (ruling.isRepaired) this.#rebuild(row, leaves)
    this.#commitCheck.stamps(row)
    const commitNo = Number(row.commitNo)
    for (const part of leaves.parts) {
      for (const event of part.events) {
        if (event !== null) events.take(ruling.events.get(event.position) ?? event, commitNo)
      }
    }
    for (const { n, row: hashes, root } of this.#full.splice(0)) {
      tiles.compare(BigInt(n), { hashes, width: tileWidth, root })
    }
    if (this.#arbiter.isLost) return lastPos
    const size = BigInt(this.#tree.size)
    checkpoints.compare(size, () => this.#tree.root())
    edges.compare(size, () => this.#tree.edge())
    this.#compareStart(size)
    return lastPos
  }

  /** Reads the events of a commit. Where the log ends elsewhere than its last commit says, the root tells which of both is right. */
  async #readCommit(row: CommitRow, span: CommitSpan & { readonly leaves: CommitLeaves }): Promise<bigint | null> {
    const { from, to, isLast, leaves } = span
    let position = Number(from)
    while (position <= Number(to)) {
      const read = await this.#readPart(row, { position, last: Number(to), leaves })
      position += read
      if (read > 0) continue
      if (isLast && this.#isRoot(row)) return this.#wrongEnd(row, BigInt(position) - 1n)
      const text = `the events from @${position} on are missing; commit ${row.commitNo} says that it ends at @${to}`
      this.#parts.findings.add({
        table: 'event',
        key: String(position),
        columns: ['pos'],
        position: BigInt(position),
        text,
      })
      return null
    }
    if (!isLast || this.#isRoot(row)) return to
    const known = leaves.parts.length
    for (let more = 0; more < mostMore; more += 1) {
      if ((await this.#readPart(row, { position, last: position, leaves })) === 0) break
      if (this.#isRoot(row)) return this.#wrongEnd(row, BigInt(position))
      position += 1
    }
    if (leaves.parts.length === known) return to
    leaves.parts.splice(known)
    this.#full = []
    this.#tree = leaves.rebuild(this.#onTile)
    return to
  }

  #isRoot({ root }: CommitRow): boolean {
    return Buffer.compare(this.#tree.root(), root) === 0
  }

  #wrongEnd({ commitNo, firstPos, lastPos }: CommitRow, end: bigint): bigint {
    const text = `commit ${commitNo} says that it ends at @${lastPos}, its last event is @${end}`
    this.#parts.findings.add({
      table: 'commit',
      key: String(commitNo),
      columns: ['last_pos'],
      position: firstPos,
      text,
    })
    return end
  }

  /** Reads and hashes the events up to the end of the commit or of the tile; returns how many, 0 where there are none any more. */
  async #readPart(
    commit: CommitRow,
    { position, last, leaves }: { readonly position: number; readonly last: number; readonly leaves: CommitLeaves },
  ): Promise<number> {
    await this.#nextReference()
    const { names } = this.#parts
    const tree = this.#tree
    const row = tree.row
    const first = position % tileWidth
    const count = Math.min(last - position + 1, tileWidth - first)
    const stamp = commitPart(commit.commitNo, commit.epoch, commit.atUs)
    const events: (EventRow | null)[] = []
    for (let at = 0; at < count; at += 1) {
      let event = this.#rows.take(position + at)
      while (event === undefined) {
        await this.#rows.fill()
        event = this.#rows.take(position + at)
      }
      const slot = (first + at) * sha256Bytes
      if (event === null) {
        if (this.#rows.isAtEnd) break
        this.#missing(position + at)
        row.set(recordedAt(this.#reference, first + at) ?? noLeaf, slot)
      } else {
        const stream = names.streams[event.streamId]?.part ?? noName
        const type = names.types[event.typeId]?.part ?? noName
        rowLeafInto({ target: row, at: slot }, event, { stream, type, commit: stamp })
      }
      events.push(event)
      tree.append()
    }
    await this.#rows.drain(position + events.length - 1)
    if (events.length > 0) leaves.parts.push({ position, first, row, reference: this.#reference, events })
    return events.length
  }

  /** The recorded hashes of the tile that the next leaf belongs to, and how far it is. */
  async #nextReference(): Promise<void> {
    const tile = Math.floor(this.#tree.size / tileWidth)
    if (tile === this.#referenceOf) return
    this.#reference = await this.#parts.tiles.reference(BigInt(tile))
    this.#referenceOf = tile
    if (this.#tree.size % progressEvents !== 0) return
    this.#parts.signal?.throwIfAborted()
    this.#parts.onProgress?.(BigInt(this.#tree.size))
  }

  /** The tree after the commit again, with the leaves that are known to be right. */
  #rebuild(commit: CommitRow, leaves: CommitLeaves): void {
    this.#full = []
    this.#tree = leaves.rebuild(this.#onTile)
    if (Buffer.compare(this.#tree.root(), commit.root) !== 0) this.#arbiter.doubt(commit, leaves)
  }

  #missing(position: number): void {
    const text = `event @${position} is missing`
    this.#parts.findings.add({
      table: 'event',
      key: String(position),
      columns: ['pos'],
      position: BigInt(position),
      text,
    })
  }

  /** At the size of the checkpoint that was taken for granted its root shows that what was not read is what was signed. */
  #compareStart(size: bigint): void {
    const { start, findings } = this.#parts
    if (start?.checkpoint.size !== size || Buffer.compare(this.#tree.root(), start.checkpoint.root) === 0) return
    const text = `the first ${size} events of the log do not give the root of the checkpoint it is compared with`
    const key = `0/${size / BigInt(tileWidth)}`
    findings.add({ table: 'tile', key, columns: ['hashes', 'root'], position: size - 1n, text })
  }
}

const noLeaf = Buffer.alloc(sha256Bytes)
const noName = Buffer.alloc(4)
