import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { all, closed, moved, note, opened, openWith, textOf } from '../support/account-events.ts'
import { accountModels } from '../support/account-projection.ts'
import { newEvent, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

describe('replayCheck()', () => {
  const tamperings: readonly { what: string; sql: string; table: string }[] = [
    {
      what: 'a current row',
      sql: `update accounts set balance = 8 where to_position is null and id = 'a'`,
      table: 'accounts',
    },
    { what: 'a historical row', sql: `update accounts set owner = 'eve' where to_position = 2`, table: 'accounts' },
    {
      what: 'the end of a version',
      sql: 'update accounts set to_position = 3 where to_position = 2',
      table: 'accounts',
    },
    {
      what: 'a time by a microsecond',
      sql: `update notes set valid_from = valid_from + interval '1 us'`,
      table: 'notes',
    },
    {
      what: 'a row too many',
      sql: `insert into notes select 'zz', number, text, from_position from notes`,
      table: 'notes',
    },
    { what: 'a row too few', sql: 'delete from notes', table: 'notes' },
  ]
  test.each(tamperings)('finds $what', async ({ sql, table }) => {
    const address = await server.createDatabase()
    const models = accountModels()
    await using log = await openWith(address, models)
    await log.append([write('a', [opened(), moved(7n), note(1, 'x')])])
    expect(await models.replayCheck()).toMatchObject({
      identical: true,
      position: 3n,
      differences: [],
      tables: [
        { name: 'accounts', versions: 2n },
        { name: 'notes', versions: 1n },
      ],
    })
    await server.run(
      address.database ?? '',
      sql.replace("'zz', number, text, from_position", "'zz', number, text, from_position, null, valid_from, null"),
    )
    const report = await models.replayCheck()
    expect(report.identical).toBe(false)
    expect(new Set(report.differences.map((each) => each.table))).toEqual(new Set([table]))
    expect(report.tables.find(({ name }) => name === table)?.differences).toBeGreaterThan(0n)
    const left = await server.run(address.database ?? '', `select 1 from pg_namespace where nspname like 'replay%'`)
    expect(left.rowCount).toBe(0)
  })

  test('says identical while commits go on, and after any sequence of events', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    await using log = await openWith(address, models)
    const event = fc.oneof(
      fc.record({ kind: fc.constant('open' as const), owner: fc.constantFrom('ann', 'bob', null) }),
      fc.record({ kind: fc.constant('move' as const), by: fc.bigInt(-9n, 9n) }),
      fc.record({ kind: fc.constant('note' as const), number: fc.nat(2), text: fc.string() }),
      fc.constant({ kind: 'close' as const }),
      fc.constant({ kind: 'replace' as const }),
    )
    const appends = fc.array(
      fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.array(event, { minLength: 1, maxLength: 4 })),
      {
        minLength: 1,
        maxLength: 30,
      },
    )
    await fc.assert(
      fc.asyncProperty(appends, async (batch) => {
        const appended = batch.map(([stream, events]) =>
          log
            .append([
              write(
                stream,
                events.map((each) => eventOf(each)),
              ),
            ])
            .catch(() => undefined),
        )
        await Promise.all(appended)
      }),
      { numRuns: 20 },
    )
    const going = Array.from({ length: 50 }, (_, at) => log.append([write(`s-${at}`, [opened()])]))
    const report = await models.replayCheck()
    await Promise.all(going)
    expect(report).toMatchObject({ identical: true, differences: [] })
    const after = accountModels()
    const rows = textOf(all(models.view))
    await log.close()
    await using _again = await openWith(address, after)
    expect(textOf(all(after.view))).toBe(rows)
  })

  function eventOf(each: { kind: string; owner?: string | null; by?: bigint; number?: number; text?: string }) {
    switch (each.kind) {
      case 'open':
        return opened(each.owner ?? null)
      case 'move':
        return moved(each.by ?? 0n)
      case 'note':
        return note(each.number ?? 0, each.text ?? '')
      case 'close':
        return closed()
      default:
        return newEvent('AccountReplaced')
    }
  }
})
