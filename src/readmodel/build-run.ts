import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { CopyEncoder } from './copy-text.ts'
import { type DeadLetter, letterKey } from './dead-letters.ts'
import type { PresumedLetters } from './presumed-letters.ts'
import type { Projection } from './projection.ts'
import { type Decode, letterOf, wanted } from './projection-run.ts'
import { type Resumption, resumptionOf, resumptionTypes } from './resumption.ts'
import { type Moment, sameRow } from './row-history.ts'
import { RowSet, rowKey } from './row-set.ts'
import type { AnyTable, RowChange } from './table.ts'
import type { TableColumns } from './table-columns.ts'

/** What a projection is built from. */
export interface BuildRunParts {
  readonly projection: Projection
  readonly decode: Decode
  readonly columns: ReadonlyMap<AnyTable, TableColumns>
  readonly presumed: PresumedLetters
}

/** Lines of COPY for one table. */
export interface CopiedLines {
  readonly table: AnyTable
  readonly columnList: string
  readonly lines: string
}

/**
 * One projection built from position 0, for speed: what is current stays in memory, a version is written when it has ended, and nothing
 * is ever taken back, since an event either changes all it changes or, where it is refused, nothing.
 */
export class BuildRun {
  readonly letters = new Map<string, DeadLetter>()
  readonly #parts: BuildRunParts
  readonly #rows: object
  readonly #built: ReadonlyMap<AnyTable, BuiltTable>
  /** Characters that wait to be written. */
  #pending = 0

  constructor(parts: BuildRunParts) {
    this.#parts = parts
    this.#built = new Map([...parts.columns].map(([table, columns]) => [table, new BuiltTable(columns)]))
    this.#rows = Object.fromEntries(
      Object.entries(parts.projection.tables).map(([name, table]) => [name, this.#table(table).rows]),
    )
  }

  get pendingChars(): number {
    return this.#pending
  }

  /** Rows that are in memory. */
  get heldRows(): number {
    let held = 0
    for (const { rows } of this.#built.values()) held += rows.size
    return held
  }

  /** The quarantined stream that an event asks to be followed again, where there is one. */
  resumed(event: RecordedEvent): Resumption | null {
    if (!resumptionTypes.has(event.type)) return null
    const resumption = resumptionOf(event)
    if (resumption === null || resumption.projection !== this.#parts.projection.name) return null
    const letter = this.letters.get(letterKey(resumption.projection, resumption.stream))
    return letter?.position === resumption.position ? resumption : null
  }

  /** Takes an event, or quarantines its stream. */
  take(event: RecordedEvent): void {
    const { projection } = this.#parts
    if (!projection.handles.has(event.type)) return
    const key = letterKey(projection.name, event.stream)
    if (this.letters.size > 0 && this.letters.has(key)) return
    const error = this.#apply(event, { position: event.position, timeUs: event.recordedAtUs })
    if (error === null) return
    this.letters.set(key, { ...letterOf(projection, { event, error }), attempts: 1, lastTriedAtUs: null })
  }

  /** Follows a stream again with the events that were missed. */
  resume(resumption: Resumption, missed: readonly RecordedEvent[]): void {
    const { projection } = this.#parts
    const key = letterKey(projection.name, resumption.stream)
    const letter = this.letters.get(key)
    if (letter === undefined) return
    this.letters.delete(key)
    for (const event of wanted(missed, { resumption, handles: projection.handles })) {
      const error = this.#apply(event, resumption.at)
      if (error === null) continue
      const attempts = event.position === letter.position ? letter.attempts + 1 : 1
      const again = { ...letterOf(projection, { event, error }), attempts, lastTriedAtUs: resumption.at.timeUs }
      this.letters.set(key, again)
      return
    }
  }

  /** The versions that have ended since the last call. */
  takeEnded(): readonly CopiedLines[] {
    this.#pending = 0
    return [...this.#built.values()].map((built) => built.takeEnded()).filter(({ lines }) => lines !== '')
  }

  /** The current versions, piece by piece; afterwards there are none in memory. */
  *takeCurrent(): Generator<CopiedLines, void> {
    for (const built of this.#built.values()) yield* built.takeCurrent()
  }

  #apply(event: RecordedEvent, at: Moment): Error | null {
    const { projection, presumed, decode } = this.#parts
    try {
      const place = { projection: projection.name, stream: event.stream, position: event.position }
      const refused = presumed.errorOf(place, at.position)
      if (refused !== null) return new Error(refused)
      const changes = projection.apply(decode(event), this.#rows, event)
      for (const change of changes) this.#check(change, event)
      for (const change of changes) this.#pending += this.#table(change.table).change(change, at)
      return null
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  #check(change: RowChange, event: RecordedEvent): void {
    const built = this.#built.get(change.table)
    if (built === undefined) {
      const { name } = this.#parts.projection
      throw new Error(`Cannot apply ${event.type}: projection "${name}" does not own table "${change.table.name}"`)
    }
    if (change.kind === 'upsert') built.columns.check(change.row)
  }

  #table(table: AnyTable): BuiltTable {
    const built = this.#built.get(table)
    if (built === undefined) throw new Error(`Cannot build table "${table.name}": its columns were not read`)
    return built
  }
}

const pieceChars = 4 << 20

class BuiltTable {
  readonly columns: TableColumns
  readonly rows: RowSet
  readonly #encoder: CopyEncoder
  #ended = ''

  constructor(columns: TableColumns) {
    this.columns = columns
    this.rows = new RowSet(columns.table)
    this.#encoder = new CopyEncoder(columns)
  }

  /** By the rules of `RowHistory`. Returns how many characters there are to write for it. */
  change(change: RowChange, at: Moment): number {
    const key = rowKey(change.table, change.kind === 'upsert' ? change.row : change.key)
    const before = this.rows.version(key)
    if (change.kind === 'upsert') {
      if (before !== undefined && sameRow(before.row, change.row)) return 0
      this.rows.set(key, { row: change.row, fromPosition: at.position, fromUs: at.timeUs })
    } else if (before !== undefined) {
      this.rows.delete(key)
    }
    if (before === undefined || before.fromPosition === at.position) return 0
    const line = this.#encoder.line({ ...before, to: at })
    this.#ended += line
    return line.length
  }

  takeEnded(): CopiedLines {
    const lines = this.#ended
    this.#ended = ''
    return this.#copied(lines)
  }

  *takeCurrent(): Generator<CopiedLines, void> {
    let lines = ''
    for (const [, version] of this.rows.entries()) {
      lines += this.#encoder.line({ ...version, to: null })
      if (lines.length < pieceChars) continue
      yield this.#copied(lines)
      lines = ''
    }
    this.rows.clear()
    if (lines !== '') yield this.#copied(lines)
  }

  #copied(lines: string): CopiedLines {
    return { table: this.rows.table, columnList: this.#encoder.columnList, lines }
  }
}
