import { describe, expect, test } from 'vitest'
import { MissingRowsError, PartialTables } from '../../src/readmodel/partial-tables.ts'
import { projection } from '../../src/readmodel/projection.ts'
import { ProjectionRun } from '../../src/readmodel/projection-run.ts'
import { RowOverlay } from '../../src/readmodel/row-overlay.ts'
import { table, upsert } from '../../src/readmodel/table.ts'
import { recordedEvent } from '../support/ledger-projection.ts'

interface ThingRow {
  readonly id: string
  readonly kind: string
}

const things = table<ThingRow>()('things', ['id'], { by_kind: 'kind' })
const version = (id: string, kind: string) => ({ row: { id, kind }, fromPosition: 0n, fromUs: 0n })

describe('PartialTables', () => {
  test('notes what was asked for and is not there, until it is loaded or known to be absent', () => {
    const partial = new PartialTables({ maxRows: 100 })
    const overlay = new RowOverlay(things)
    const rows = partial.rows(overlay)
    expect(() => rows.get({ id: 'a' })).toThrow(MissingRowsError)
    expect(() => rows.by('by_kind', 'x')).toThrow(MissingRowsError)
    expect(() => partial.throwIfMissing()).toThrow(MissingRowsError)
    const missing = partial.takeMissing().get(things)
    expect([...(missing?.keys.keys() ?? [])]).toEqual(['a'])
    expect([...(missing?.values.values() ?? [])]).toEqual([{ index: 'by_kind', value: 'x' }])
    partial.throwIfMissing()
    overlay.base.set('b', version('b', 'x'))
    if (missing !== undefined) partial.loaded(things, missing)
    expect(rows.get({ id: 'a' })).toBeUndefined()
    expect(rows.by('by_kind', 'x')).toEqual([{ id: 'b', kind: 'x' }])
    overlay.put('b', null)
    expect(rows.by('by_kind', 'x')).toEqual([])
    expect(rows.get({ id: 'b' })).toBeUndefined()
  })

  test('makes room where more is in memory than may be, and knows nothing of what it has dropped', () => {
    const partial = new PartialTables({ maxRows: 4 })
    const overlay = new RowOverlay(things)
    for (const id of ['a', 'b', 'c', 'd', 'e']) overlay.base.set(id, version(id, 'x'))
    partial.loaded(things, { keys: new Map(), values: new Map([['by_kind x', { index: 'by_kind', value: 'x' }]]) })
    partial.trim([overlay])
    expect(overlay.base.size).toBe(2)
    expect(() => partial.rows(overlay).get({ id: 'a' })).toThrow(MissingRowsError)
    expect(() => partial.rows(overlay).by('by_kind', 'x')).toThrow(MissingRowsError)
    expect(partial.rows(overlay).get({ id: 'e' })).toEqual({ id: 'e', kind: 'x' })
  })

  test('has an event taken again whole, also where its handler swallows that rows are missing', () => {
    const partial = new PartialTables({ maxRows: 100 })
    const swallowing = projection<{ readonly type: 'Put' }>()({
      name: 'things',
      version: 1,
      live: false,
      tables: { things },
      on: {
        Put: (_event, rows, { stream }) => {
          let kind = 'new'
          try {
            kind = rows.things.get({ id: stream })?.kind ?? kind
          } catch {
            kind = 'wrong'
          }
          return [upsert(things, { id: 'other', kind })]
        },
      },
    })
    const ignore = () => undefined
    const decode = ({ type }: { readonly type: string }) => ({ type })
    const run = new ProjectionRun({ projections: [swallowing], decode, check: ignore, onQuarantine: ignore, partial })
    const event = recordedEvent(1n, { type: 'Put' })
    for (let rounds = 0; ; rounds += 1) {
      try {
        run.take([event], { kind: 'fact' })
        expect(rounds).toBe(1)
        break
      } catch (error) {
        expect(error).toBeInstanceOf(MissingRowsError)
        for (const [missingOf, missing] of partial.takeMissing()) partial.loaded(missingOf, missing)
      }
    }
    expect(run.overlay(things).get({ id: 'other' })).toEqual({ id: 'other', kind: 'new' })
    expect(run.letters.changes.size).toBe(0)
  })
})

test('projection() refuses an index over a function where the rows are not in memory', () => {
  const grouped = table<ThingRow>()('things', ['id'], { by_first: (row) => row.id[0] ?? null })
  const declare = (live: boolean) =>
    projection<{ readonly type: 'Put' }>()({ name: 'x', version: 1, live, tables: { grouped }, on: {} })
  expect(() => declare(false)).toThrow('index "by_first" of "things" is a function of the row')
  expect(declare(true).live).toBe(true)
})
