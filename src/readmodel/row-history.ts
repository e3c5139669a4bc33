import type { RowOverlay } from './row-overlay.ts'
import { rowKey, type RowVersion } from './row-set.ts'
import type { RowChange } from './table.ts'

/** Where and when an event stands. */
export interface Moment {
  readonly position: bigint
  readonly timeUs: bigint
}

/** A version that a batch has begun, with its end where it has one already, and the one of the same row before it. */
export interface OpenedVersion {
  readonly row: object
  readonly from: Moment
  readonly to: Moment | null
  readonly earlier: OpenedVersion | null
}

/** A version that the database has as the current one and that ends now. */
export interface ClosedVersion {
  readonly row: object
  readonly fromPosition: bigint
  readonly to: Moment
}

/** What a batch makes of one row: the version that ends, where there was one, and the last of those that begin. */
export interface RowVersions {
  readonly closed: ClosedVersion | null
  readonly opened: OpenedVersion | null
}

/** Takes back one step. */
export type Undo = () => void

const untouched: RowVersions = { closed: null, opened: null }

/**
 * Turns changes of rows into versions: a change closes the version before and opens the next; one that changes nothing makes none, and
 * of several by one event only the last counts.
 */
export class RowHistory {
  readonly overlay: RowOverlay
  readonly #changed = new Map<string, RowVersions>()

  constructor(overlay: RowOverlay) {
    this.overlay = overlay
  }

  /** What there is to write, row by row. */
  get changed(): Iterable<RowVersions> {
    return this.#changed.values()
  }

  /** Applies a change at a moment; what takes it back goes to `journal`. */
  apply(change: RowChange, { at, journal }: { readonly at: Moment; readonly journal: Undo[] }): void {
    const row = change.kind === 'upsert' ? change.row : null
    const key = rowKey(change.table, change.kind === 'upsert' ? change.row : change.key)
    const before = this.overlay.version(key)
    if (before === undefined ? row === null : row !== null && sameRow(before.row, row)) return
    const former = this.#changed.get(key)
    const next = nextVersions(former ?? untouched, { before, row, at })
    this.#changed.set(key, next)
    const uncover = this.overlay.put(key, row === null ? null : { row, fromPosition: at.position, fromUs: at.timeUs })
    journal.push(() => {
      uncover()
      if (former === undefined) this.#changed.delete(key)
      else this.#changed.set(key, former)
    })
  }

  /** Forgets what there is to write. */
  clear(): void {
    this.#changed.clear()
  }
}

interface Step {
  /** The version that was current; one that the batch has not begun itself is the database's. */
  readonly before: RowVersion | undefined
  /** What the row is from now on; null: gone. */
  readonly row: object | null
  readonly at: Moment
}

function nextVersions({ closed, opened }: RowVersions, { before, row, at }: Step): RowVersions {
  let ended = closed
  let last = opened
  if (before !== undefined) {
    if (last === null || last.to !== null) ended = { row: before.row, fromPosition: before.fromPosition, to: at }
    else if (last.from.position === at.position)
      last = last.earlier // began with this very event: it never was
    else last = { ...last, to: at }
  }
  if (row !== null) last = { row, from: at, to: null, earlier: last }
  return { closed: ended, opened: last }
}

/** Whether two rows of one table hold the same values. */
export function sameRow(one: object, other: object): boolean {
  const columns = Object.keys(one)
  for (const column of columns) if (!sameValue(Reflect.get(one, column), Reflect.get(other, column))) return false
  return columns.length === Object.keys(other).length
}

function sameValue(one: unknown, other: unknown): boolean {
  if (one === other) return true
  if (one instanceof Uint8Array && other instanceof Uint8Array) return Buffer.from(one).equals(other)
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other))
}

/** The value with the members of its objects in order, as jsonb has no other. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const members: [string, unknown][] = Object.entries(value)
  return Object.fromEntries(
    members.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, each]) => [name, sorted(each)]),
  )
}
