import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Moment, RowHistory, sameRow, type Undo } from '../../src/readmodel/row-history.ts'
import { RowOverlay } from '../../src/readmodel/row-overlay.ts'
import { remove, table, upsert } from '../../src/readmodel/table.ts'

interface ThingRow {
  readonly kind: string
  readonly id: bigint
  readonly value: number
}

const things = table<ThingRow>()('things', ['kind', 'id'], {
  by_value: (row) => (row.value === 0 ? null : row.value),
})

/** What the database would have: versions with their ends. */
interface StoredVersion {
  readonly key: string
  readonly value: number
  readonly from: bigint
  to: bigint | null
}

/** The same rules in the plainest way: one list of versions, changed event by event. */
class PlainHistory {
  versions: StoredVersion[] = []

  current(key: string): StoredVersion | undefined {
    return this.versions.find((version) => version.key === key && version.to === null)
  }

  apply(key: string, { value, position }: { readonly value: number | null; readonly position: bigint }): void {
    const before = this.current(key)
    if (before?.value === (value ?? undefined)) return
    if (before !== undefined && before.from === position) this.versions.splice(this.versions.indexOf(before), 1)
    else if (before !== undefined) before.to = position
    if (value !== null) this.versions.push({ key, value, from: position, to: null })
  }

  clone(): PlainHistory {
    const copy = new PlainHistory()
    copy.versions = this.versions.map((version) => ({ ...version }))
    return copy
  }
}

/** Plays what a history asks for against a stored table. */
function write(history: RowHistory, stored: StoredVersion[]): void {
  for (const { closed, opened } of history.changed) {
    if (closed !== null) {
      const { row, fromPosition, to } = closed
      const version = stored.find((each) => each.key === keyOf(row) && each.from === fromPosition && each.to === null)
      if (version === undefined) throw new Error(`closes a version of ${keyOf(row)} that is not there`)
      version.to = to.position
    }
    for (let each = opened; each !== null; each = each.earlier) {
      const key = keyOf(each.row)
      if (each.to === null && stored.some((other) => other.key === key && other.to === null))
        throw new Error(`opens ${key} twice`)
      stored.push({ key, value: valueOf(each.row), from: each.from.position, to: each.to?.position ?? null })
    }
  }
}

function keyOf(row: object): string {
  const { kind, id } = Object.assign({ kind: '', id: 0n }, row)
  return `${kind}/${id}`
}

function valueOf(row: object): number {
  return Object.assign({ value: -1 }, row).value
}

const sorted = (versions: readonly StoredVersion[]) =>
  versions.map(({ key, value, from, to }) => `${key}=${value} ${from}-${to}`).toSorted()

const change = fc.record({
  kind: fc.constantFrom('a', 'b', 'a","b'),
  id: fc.bigInt(0n, 1n),
  value: fc.option(fc.nat(2)),
})
const request = fc.record({
  events: fc.array(fc.array(change, { maxLength: 3 }), { minLength: 1, maxLength: 3 }),
  taken: fc.boolean(),
})
const batches = fc.array(
  fc.record({ requests: fc.array(request, { maxLength: 4 }), outcome: fc.constantFrom('committed', 'dropped') }),
  { maxLength: 8 },
)

describe('RowHistory with RowOverlay', () => {
  test('write and show what the plainest rules say, whatever is refused, dropped or committed', () => {
    fc.assert(
      fc.property(batches, (all) => {
        const overlay = new RowOverlay(things)
        const history = new RowHistory(overlay)
        const stored: StoredVersion[] = []
        let model = new PlainHistory()
        let position = 0n
        for (const { requests, outcome } of all) {
          const before = model.clone()
          const start = position
          for (const { events, taken } of requests) {
            const beforeRequest = model.clone()
            const journal: Undo[] = []
            let at = position
            for (const changes of events) {
              const moment: Moment = { position: at, timeUs: at }
              for (const { kind, id, value } of changes) {
                const each = value === null ? remove(things, { kind, id }) : upsert(things, { kind, id, value })
                history.apply(each, { at: moment, journal })
                model.apply(`${kind}/${id}`, { value, position: at })
              }
              at += 1n
            }
            if (taken) position = at
            else {
              for (const undo of journal.toReversed()) undo()
              model = beforeRequest
            }
            compare(overlay, model)
          }
          if (outcome === 'committed') {
            write(history, stored)
            overlay.commit()
          } else {
            overlay.drop()
            model = before
            position = start
          }
          history.clear()
          compare(overlay, model)
          expect(sorted(stored)).toEqual(sorted(model.versions))
        }
      }),
      { numRuns: 300 },
    )
  })
})

function compare(overlay: RowOverlay, model: PlainHistory): void {
  const current = model.versions.filter(({ to }) => to === null)
  const show = (rows: Iterable<object>) => [...rows].map((row) => `${keyOf(row)}=${valueOf(row)}`).toSorted()
  expect(overlay.size).toBe(current.length)
  expect(show(overlay.all())).toEqual(current.map(({ key, value }) => `${key}=${value}`).toSorted())
  for (const value of [1, 2]) {
    const expected = current.filter((each) => each.value === value).map((each) => `${each.key}=${value}`)
    expect(show(overlay.by('by_value', value))).toEqual(expected.toSorted())
  }
}

describe('sameRow()', () => {
  test.each([
    { one: { a: 1n }, other: { a: 1n }, same: true },
    { one: { a: 1n }, other: { a: 1 }, same: false },
    { one: { a: null }, other: { a: 0 }, same: false },
    { one: { a: Uint8Array.of(1, 2) }, other: { a: Buffer.of(1, 2) }, same: true },
    { one: { a: Uint8Array.of(1, 2) }, other: { a: Uint8Array.of(1, 3) }, same: false },
    { one: { a: { x: 1, y: [1, { z: null }] } }, other: { a: { y: [1, { z: null }], x: 1 } }, same: true },
    { one: { a: [1, 2] }, other: { a: [2, 1] }, same: false },
    { one: { a: 1 }, other: { a: 1, b: 2 }, same: false },
  ])('says $same for $one and $other', ({ one, other, same }) => {
    expect(sameRow(one, other)).toBe(same)
  })
})
