import type { RowOverlay } from './row-overlay.ts'
import { rowKey } from './row-set.ts'
import type { RowChange } from './table.ts'

/** Where and when an event stands. */
export interface Moment {
  readonly position: bigint
  readonly timeUs: bigint
}

/** A version to be written, with its end where it has one already. */
export interface OpenedVersion {
  readonly row: object
  readonly from: Moment
  to: Moment | null
}

/** A version that the database has and that ends now. */
export interface ClosedVersion {
  readonly row: object
  readonly fromPosition: bigint
  readonly to: Moment
}

/** Takes back one step. */
export type Undo = () => void

/**
 * Turns changes of rows into versions: a change closes the version before and opens the next; one that changes nothing makes none, and
 * of several by one event only the last counts.
 */
export class RowHistory {
  readonly overlay: RowOverlay
  readonly #opened = new Map<string, OpenedVersion>()
  readonly #closed = new Map<string, ClosedVersion>()

  constructor(overlay: RowOverlay) {
    this.overlay = overlay
  }

  get opened(): readonly OpenedVersion[] {
    return [...this.#opened.values()]
  }

  get closed(): readonly ClosedVersion[] {
    return [...this.#closed.values()]
  }

  /** Applies a change at a moment; what takes it back goes to `journal`. */
  apply(change: RowChange, { at, journal }: { readonly at: Moment; readonly journal: Undo[] }): void {
    const key = rowKey(change.table, change.kind === 'upsert' ? change.row : change.key)
    const before = this.overlay.version(key)
    if (change.kind === 'remove') {
      if (before === undefined) return
      this.#end(key, { at, journal })
      journal.push(this.overlay.put(key, null))
      return
    }
    if (before !== undefined) {
      if (sameRow(before.row, change.row)) return
      this.#end(key, { at, journal })
    }
    this.#opened.set(versionKey(key, at.position), { row: change.row, from: at, to: null })
    journal.push(() => this.#opened.delete(versionKey(key, at.position)))
    journal.push(this.overlay.put(key, { row: change.row, fromPosition: at.position, fromUs: at.timeUs }))
  }

  /** Forgets what there is to write. */
  clear(): void {
    this.#opened.clear()
    this.#closed.clear()
  }

  #end(key: string, { at, journal }: { readonly at: Moment; readonly journal: Undo[] }): void {
    const before = this.overlay.version(key)
    if (before === undefined) return
    const openedKey = versionKey(key, before.fromPosition)
    const opened = this.#opened.get(openedKey)
    if (opened === undefined) {
      this.#closed.set(key, { row: before.row, fromPosition: before.fromPosition, to: at })
      journal.push(() => this.#closed.delete(key))
    } else if (opened.from.position === at.position) {
      this.#opened.delete(openedKey) // began with this very event: it never was
      journal.push(() => this.#opened.set(openedKey, opened))
    } else {
      opened.to = at
      journal.push(() => {
        opened.to = null
      })
    }
  }
}

function versionKey(key: string, position: bigint): string {
  return `${position} ${key}`
}

/** Whether two rows of one table hold the same values. */
export function sameRow(one: object, other: object): boolean {
  const columns = Object.keys(one)
  if (columns.length !== Object.keys(other).length) return false
  return columns.every((column) => sameValue(Reflect.get(one, column), Reflect.get(other, column)))
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
