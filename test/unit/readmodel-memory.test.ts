import { expect, test } from 'vitest'
import { MemoryReadModels } from '../../src/readmodel/memory-read-models.ts'
import { projection } from '../../src/readmodel/projection.ts'
import { ProjectionRun } from '../../src/readmodel/projection-run.ts'
import { table, upsert } from '../../src/readmodel/table.ts'
import { accountsProjection, accountsTable, decodeAccountEvent } from '../support/account-projection.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'

function recorded(position: bigint, event: { readonly type: string; readonly data?: object }): RecordedEvent {
  const data = Buffer.from(JSON.stringify(event.data ?? {}))
  const place = { position, stream: 'a', revision: position, commitNo: position, epoch: 1, recordedAtUs: position }
  return { ...place, type: event.type, schema: 1, eventId: '00000000-0000-4000-8000-000000000000', data, meta: data }
}

test('MemoryReadModels apply events as the engine does, and take none of a commit that a projection refuses', () => {
  const models = new MemoryReadModels([accountsProjection()], decodeAccountEvent)
  models.apply([
    recorded(0n, { type: 'AccountOpened', data: { owner: 'ann' } }),
    recorded(1n, { type: 'AccountMoved', data: { by: '5' } }),
    recorded(2n, { type: 'NobodyKnowsThis' }),
  ])
  const refused = [
    recorded(3n, { type: 'AccountMoved', data: { by: '5' } }),
    recorded(4n, { type: 'AccountMoved', data: { by: 'x' } }),
  ]
  expect(() => models.apply(refused)).toThrow(SyntaxError)
  expect(models.view.rows(accountsTable).get({ id: 'a' })).toMatchObject({ balance: 5n, moves: 1 })
})

test('ProjectionRun refuses a table in two projections, and a change of a table that is not its own', () => {
  const other = table<{ readonly id: string }>()('other', ['id'])
  const mine = table<{ readonly id: string }>()('mine', ['id'])
  const named = (name: string, tables: { readonly mine: typeof mine }) =>
    projection<{ readonly type: 'Put' }>()({
      name,
      version: 1,
      live: true,
      tables,
      on: { Put: () => [upsert(other, { id: 'x' })] },
    })
  const ignore = () => undefined
  const parts = { decode: ({ type }: RecordedEvent) => ({ type }), check: ignore, onQuarantine: ignore }
  expect(() => new ProjectionRun({ ...parts, projections: [named('a', { mine }), named('b', { mine })] })).toThrow(
    'belongs to two',
  )
  const run = new ProjectionRun({ ...parts, projections: [named('a', { mine })] })
  expect(() => run.take([recorded(0n, { type: 'Put' })], { kind: 'intent' })).toThrow(
    'projection "a" does not own table "other"',
  )
})
