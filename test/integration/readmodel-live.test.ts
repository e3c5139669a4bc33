import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { all, closed, moved, note, opened, openWith, textOf } from '../support/account-events.ts'
import { accountModels, accountsProjection, accountsSql, accountsTable } from '../support/account-projection.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

function history(address: PostgresAddress, table: string): Promise<unknown[]> {
  const text = `select * from ${table} order by from_position, 1, 2`
  return server.run(address.database ?? '', text).then(({ rows }) => rows)
}

describe('ReadModels', () => {
  test('versions rows in the transaction of their commit: opened, changed, removed', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    await using log = await openWith(address, models)
    await log.append([write('a', [opened()])]) // position 1
    await log.append([write('a', [moved(5n), moved(-5n), moved(7n)])]) // 2 3 4
    await log.append([write('a', [closed()])]) // 5
    await log.append([write('a', [opened('bob')])]) // 6
    const rows = await history(address, 'accounts')
    expect(rows).toMatchObject([
      { balance: '0', moves: 0, from_position: '1', to_position: '2' },
      { balance: '5', moves: 1, from_position: '2', to_position: '3' },
      { balance: '0', moves: 2, from_position: '3', to_position: '4' },
      { balance: '7', moves: 3, from_position: '4', to_position: '5' },
      { owner: 'bob', balance: '0', moves: 0, from_position: '6', to_position: null, valid_to: null },
    ])
    const times = await server.run(
      address.database ?? '',
      `select 1 from accounts a join log_events f on f.position = a.from_position left join log_events t on t.position = a.to_position
        where a.valid_from = f.recorded_at and a.valid_to is not distinct from t.recorded_at`,
    )
    expect(times.rowCount).toBe(5)
    expect(models.view.rows(accountsTable).get({ id: 'a' })).toMatchObject({ owner: 'bob', balance: 0n })
    expect(models.position).toBe(6n)
  })

  test('writes nothing for a change that changes nothing, and only the last of several by one event', async () => {
    const address = await server.createDatabase()
    await using log = await openWith(address)
    await log.append([write('a', [opened('ann', { x: 1, y: [2] })])])
    await log.append([write('a', [newEvent('AccountOpened', { owner: 'ann', tags: { y: [2], x: 1 } })])])
    await log.append([write('a', [newEvent('AccountReplaced')])])
    expect(await history(address, 'accounts')).toMatchObject([
      { moves: 0, from_position: '1', to_position: '3' },
      { moves: -1, from_position: '3', to_position: null },
    ])
  })

  test('finds rows by key and by index, as they change', async () => {
    const models = accountModels()
    await using log = await openWith(await server.createDatabase(), models)
    const rows = models.view.rows(accountsTable)
    await log.append(['a', 'b', 'c'].map((id) => write(id, [opened(id === 'c' ? null : 'ann')])))
    expect(rows.by('by_owner', 'ann').map((row) => row.id)).toEqual(['a', 'b'])
    expect(rows.size).toBe(3)
    await log.append([write('a', [opened('bob')]), write('b', [closed()])])
    expect(rows.by('by_owner', 'ann')).toEqual([])
    expect(rows.by('by_owner', 'bob').map((row) => row.id)).toEqual(['a'])
    expect(rows.by('by_open', 'open')).toHaveLength(2)
    expect(rows.get({ id: 'b' })).toBeUndefined()
    expect([...rows.all()].map((row) => row.id).toSorted()).toEqual(['a', 'c'])
  })

  test('shows a decision the rows with what the batch holds, and readers only what is committed', async () => {
    const models = accountModels()
    await using log = await openWith(await server.createDatabase(), models)
    const seen: unknown[] = []
    const openOnce = (stream: string) =>
      log.append(() => {
        const { size } = models.turnView.rows(accountsTable)
        seen.push([
          size,
          models.turnView.rows(accountsTable).by('by_owner', 'ann').length,
          models.view.rows(accountsTable).size,
        ])
        if (models.turnView.rows(accountsTable).by('by_owner', 'ann').length === 2) throw new Error('two are enough')
        return [write(stream, [opened()])]
      })
    const outcomes = await Promise.allSettled(['a', 'b', 'c'].map(openOnce))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
    expect(seen).toEqual([
      [0, 0, 0],
      [1, 1, 0],
      [2, 2, 0],
    ])
    expect(models.view.rows(accountsTable).size).toBe(2)
  })

  test('refuses an intent that a projection cannot take, and nothing of it stays', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    await using log = await openWith(address, models)
    const outcomes = await Promise.allSettled([
      log.append([write('a', [opened()])]),
      log.append([write('b', [opened()]), write('ghost', [moved(1n)])]),
      log.append([write('a', [moved(1n)])]),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(all(models.view).accounts).toMatchObject([{ id: 'a', balance: 1n }])
    expect(await history(address, 'accounts')).toHaveLength(2)
  })

  test.each([
    {
      what: 'a value of the wrong type',
      event: note(1.5, 'x'),
      message: 'column "number" is 1.5, it must be a whole number',
    },
    { what: 'a text that PostgreSQL cannot hold', event: note(1, 'a\0b'), message: 'a string without NUL' },
    { what: 'a number over 64 bits', event: moved(1n << 63n), message: 'a bigint of 64 bits' },
    { what: 'a row that the table itself refuses', event: moved(666n), message: 'the database refused it' },
  ])('refuses an intent with $what, alone of its batch', async ({ event, message }) => {
    const models = accountModels()
    await using log = await openWith(await server.createDatabase(), models)
    await log.append([write('a', [opened()]), write('b', [opened()])])
    const outcomes = await Promise.allSettled([
      log.append([write('b', [moved(1n)])]),
      log.append([write('a', [event])]),
      log.append([write('b', [moved(2n)])]),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(outcomes[1]).toHaveProperty('reason.message', expect.stringContaining(message))
    expect(models.view.rows(accountsTable).get({ id: 'b' })).toMatchObject({ balance: 3n })
    expect(models.view.rows(accountsTable).get({ id: 'a' })).toMatchObject({ balance: 0n })
    await log.append([write('a', [moved(1n)])])
  })

  test.each([
    { what: 'its handler', event: moved(1n), stream: 'ghost' },
    { what: 'the database', event: moved(666n), stream: 'a' },
  ])('appends a fact that $what refuses, quarantines its stream and goes on', async ({ event, stream }) => {
    const address = await server.createDatabase()
    const alarms: string[] = []
    const models = accountModels({ onAlarm: ({ text }) => alarms.push(text) })
    {
      await using log = await openWith(address, models)
      await log.append([write('a', [opened()]), write('b', [opened()])])
      await Promise.all([
        log.append([write('b', [moved(1n)])]),
        log.append([write(stream, [event]), write('b', [moved(2n)])], { kind: 'fact' }),
        log.append([write('b', [moved(3n)])]),
      ])
      await log.append([write(stream, [note(1, 'skipped')])])
      expect(all(models.view).notes).toEqual([])
      expect(alarms[0]).toContain(`cannot follow stream "${stream}"`)
      expect(models.deadLetters.some((letter) => letter.stream === stream)).toBe(true)
      if (stream === 'ghost') {
        expect(models.view.rows(accountsTable).get({ id: 'b' })).toMatchObject({ balance: 6n })
      }
      expect(await models.replayCheck()).toMatchObject({ identical: true })
    }
    const again = accountModels()
    await using log = await openWith(address, again)
    expect(again.deadLetters).toEqual(models.deadLetters)
    await log.append([write(stream, [note(2, 'skipped as well')])])
    expect(all(again.view)).toEqual(all(models.view))
  })

  test('loads the same rows at the next start and replays nothing', async () => {
    const address = await server.createDatabase()
    const before = accountModels()
    {
      await using log = await openWith(address, before)
      await log.append([write('a', [opened('ann', { deep: [1, null, { z: 'ü' }] }), moved((1n << 63n) - 1n)])])
      await log.append([
        write('b', [opened(null), moved(-(1n << 63n))]),
        write('a', [note(-2147483648, '\ud83d\ude00 "\\')]),
      ])
    }
    const positions: bigint[] = []
    const after = accountModels({ onProgress: ({ position }) => positions.push(position) })
    await using _log = await openWith(address, after)
    expect(textOf(all(after.view))).toEqual(textOf(all(before.view)))
    expect(after.view.rows(accountsTable).get({ id: 'a' })?.balance).toBe(9223372036854775807n)
    expect(positions).toEqual([6n]) // the start's own event only
  })

  test('catches up with what was appended while nobody projected, however often that happened', async () => {
    const address = await server.createDatabase()
    const models = accountModels()
    {
      await using log = await openWith(address, models)
      await log.append([write('a', [opened()])])
    }
    for (let times = 0; times < 2; times += 1) {
      await using log = await openLog(address)
      await log.append([write('a', [moved(5n)])])
    }
    await using log = await openWith(address, models)
    await log.append([write('a', [moved(1n)])])
    expect(models.view.rows(accountsTable).get({ id: 'a' })).toMatchObject({ balance: 11n, moves: 3 })
    expect(await models.replayCheck()).toMatchObject({ identical: true })
  })

  test('builds a projection of a new version from the start, tables and all, and drops those of the old', async () => {
    const address = await server.createDatabase()
    {
      await using log = await openWith(address)
      await log.append([write('a', [opened(), moved(3n)]), write('b', [opened(), closed()])])
    }
    const progress: unknown[] = []
    const models = accountModels({
      projections: [accountsProjection({ version: 2, bonus: 100n })],
      sqlOf: () => Promise.resolve(accountsSql.replace('check (balance <> 666)', 'check (balance <> 667)')),
      onProgress: (step) => progress.push(step),
    })
    await using _log = await openWith(address, models)
    expect(models.view.rows(accountsTable).get({ id: 'a' })).toMatchObject({ balance: 103n })
    expect(progress).toEqual([{ projections: ['accounts'], position: 5n, target: 5n }])
    expect((await history(address, 'accounts')).length).toBe(3)
    expect((await models.replayCheck()).identical).toBe(true)
  })

  test.each([
    { what: 'a missing table', sql: 'create table accounts (id text)', message: 'it has no column "from_position"' },
    {
      what: 'a column whose values rows cannot carry exactly',
      sql: accountsSql.replace('moves integer', 'moves numeric'),
      message: 'column "moves" has the type numeric',
    },
    { what: 'broken SQL', sql: 'create tabel', message: 'syntax error' },
  ])('refuses to open with $what', async ({ sql, message }) => {
    const address = await server.createDatabase()
    const models = accountModels({ sqlOf: () => Promise.resolve(sql) })
    const error = await openWith(address, models).catch((reason: unknown) => reason)
    expect(error).toHaveProperty('cause.message', expect.stringContaining(message))
    await (await openWith(address)).close()
  })

  test('answers as of any position and time with the rows of that moment', async () => {
    const address = await server.createDatabase()
    let clockUs = 1_700_000_000_000_000n
    const models = accountModels({ cachedMoments: 2 })
    await using log = await openLog(address, { participants: [models], nowUs: () => (clockUs += 1_000_000n) })
    const moments: { position: bigint; timeUs: bigint; rows: string }[] = []
    const remember = () => {
      const { position, recordedAtUs } = log.head
      moments.push({ position, timeUs: recordedAtUs, rows: textOf(all(models.view)) })
    }
    remember()
    for (const events of [
      [opened()],
      [moved(3n), note(1, 'x')],
      [note(2, 'y')],
      [closed()],
      [opened('bob'), note(1, 'z')],
    ]) {
      await log.append([write('a', events)])
      remember()
    }
    for (const { position, timeUs, rows } of moments) {
      expect(textOf(all(await models.asOf({ position }))), `position ${position}`).toBe(rows)
      expect(textOf(all(await models.asOf({ timeUs }))), `time ${timeUs}`).toBe(rows)
    }
    expect((await models.asOf({ timeUs: (moments[1]?.timeUs ?? 0n) - 1n })).position).toBe(0n)
    expect((await models.asOf({ timeUs: 0n })).position).toBe(-1n)
    expect((await models.asOf({ position: 1n })).rows(accountsTable).by('by_owner', 'ann')).toHaveLength(1)
    await expect(models.asOf({ position: 99n })).rejects.toThrow('the log has positions 0 to 7')
    await expect(models.asOf({ timeUs: 1n << 60n })).rejects.toThrow('has not come yet')
  })

  test('never stamps a commit at or before a time that was answered for', async () => {
    const models = accountModels()
    let clockUs = 1_000_000n
    await using log = await openLog(await server.createDatabase(), { participants: [models], nowUs: () => clockUs })
    clockUs = 5_000_000n
    const before = await models.asOf({ timeUs: 5_000_000n })
    clockUs = 2_000_000n // stepped back
    await log.append([write('a', [opened()])])
    expect(log.head.recordedAtUs).toBe(5_000_001n)
    clockUs = 6_000_000n
    expect((await models.asOf({ timeUs: 5_000_000n })).position).toBe(before.position)
  })
})
