import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { buildProjection } from '../../src/readmodel/projection-build.ts'
import { ReadModels, type ReadModelsOptions } from '../../src/readmodel/read-models.ts'
import { resumeStream } from '../support/resume-stream.ts'
import { closed, moved, opened } from '../support/account-events.ts'
import { accountsProjection, accountsSql, decodeAccountEvent } from '../support/account-projection.ts'
import { ledgerProjection, ledgerSql, ledgerTable, ownersTable, sqlFrom } from '../support/ledger-projection.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { poolOf } from '../support/pool-of.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

const sqlOf = sqlFrom({ ledger: ledgerSql, accounts: accountsSql })

function ledgerModels(options: Partial<ReadModelsOptions> = {}): ReadModels {
  return new ReadModels({
    projections: [accountsProjection(), ledgerProjection()],
    decode: decodeAccountEvent,
    sqlOf,
    ...options,
  })
}

/** A log with its read models, followed until the end of the block. */
async function follow(address: PostgresAddress, options: Partial<ReadModelsOptions> = {}) {
  const models = ledgerModels(options)
  const log = await openLog(address, { participants: [models] })
  models.follow()
  return {
    log,
    models,
    async [Symbol.asyncDispose]() {
      await models.close()
      await log.close()
    },
  }
}

function history(address: PostgresAddress, table = 'ledger'): Promise<unknown[]> {
  const text = `select * from ${table} order by from_position, 1`
  return server.run(address.database ?? '', text).then(({ rows }) => rows)
}

/** Waits until the ledger has taken in what the log has. */
async function reached({ log, models }: { readonly log: EventStore; readonly models: ReadModels }): Promise<void> {
  await models.projection('ledger').background?.reach(log.head.position, { limitMs: 20_000 })
}

describe('a background projection', () => {
  test('makes the versions that a live one makes, whatever happens', async () => {
    const event = fc.oneof(
      fc.constantFrom('ann', 'bob').map((owner) => opened(owner)),
      fc.bigInt(-9n, 9n).map(moved),
      fc.constantFrom(closed(), newEvent('AccountReplaced')).map(({ type }) => newEvent(type)),
    )
    const appends = fc.array(
      fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.array(event, { minLength: 1, maxLength: 5 })),
      { minLength: 1, maxLength: 30 },
    )
    await fc.assert(
      fc.asyncProperty(appends, async (writes) => {
        const one = await server.createDatabase()
        const other = await server.createDatabase()
        const timed = () => {
          let clockUs = 1_000_000n
          return { nowUs: () => (clockUs += 1_000n) }
        }
        const live = ledgerModels({ projections: [ledgerProjection({ live: true })] })
        const behind = ledgerModels({ projections: [ledgerProjection()] })
        await using liveLog = await openLog(one, { participants: [live], ...timed() })
        await using log = await openLog(other, { participants: [behind], ...timed() })
        behind.follow()
        for (const [stream, events] of writes) {
          for (const each of [liveLog, log]) await each.append([write(stream, events)], { kind: 'fact' })
        }
        await reached({ log, models: behind })
        for (const table of ['ledger', 'ledger_owners'])
          expect(await history(other, table)).toEqual(await history(one, table))
        expect(behind.deadLetters).toEqual(live.deadLetters)
        expect(await behind.replayCheck()).toMatchObject({ identical: true })
        expect((await behind.rebuild('ledger', { then: 'drop' })).comparison).toMatchObject({ identical: true })
        expect((await live.rebuild('ledger', { then: 'switch' })).comparison).toMatchObject({ identical: true })
        expect(await live.replayCheck()).toMatchObject({ identical: true })
        await behind.close()
      }),
      { numRuns: 4 },
    )
  })

  test('goes on where it was after a restart, and catches up with what came meanwhile', async () => {
    const address = await server.createDatabase()
    {
      await using running = await follow(address)
      await running.log.append([write('a', [opened(), moved(1n)])])
      await reached(running)
    }
    {
      await using log = await openLog(address)
      await log.append([write('a', [moved(2n)])])
    }
    await using running = await follow(address)
    await reached(running)
    expect(await history(address)).toMatchObject([
      { balance: '0' },
      { balance: '1' },
      { balance: '3', to_position: null },
    ])
    const [status] = (await running.models.status()).filter(({ name }) => name === 'ledger')
    expect(status).toMatchObject({ state: 'following', lagEvents: 0n, lagSeconds: 0, deadLetters: 0, version: 1 })
    expect(status?.tables).toMatchObject([
      { name: 'ledger', rows: 1n },
      { name: 'ledger_owners', rows: 0n },
    ])
  })

  test('answers as of a moment, waits for it a while, and refuses where it does not get there', async () => {
    const address = await server.createDatabase()
    const { projections } = { projections: [accountsProjection(), ledgerProjection()] }
    const [, ledger] = projections
    const background = ledger === undefined ? [] : [ledger]
    const models = ledgerModels({ projections })
    await using log = await openLog(address, { participants: [models] })
    await log.append([write('a', [opened(), moved(1n)])])
    await expect(models.asOf({ position: 2n }, { background, waitMs: 50 })).rejects.toThrow(
      'it is stopped, at position -1',
    )
    models.follow()
    const view = await models.asOf({ position: 2n }, { background })
    expect(view.rows(ledgerTable).get({ account: 'a' })).toMatchObject({ balance: 1n })
    expect((await models.asOf({ position: 1n }, { background })).rows(ledgerTable).by('by_owner', 'ann')).toHaveLength(
      1,
    )
    expect(() => models.view.rows(ledgerTable)).toThrow('no projection here has that table')
    const past = await models.asOf({ position: 2n })
    expect(() => past.rows(ownersTable)).toThrow('a background one was not asked for')
    await models.close()
  })

  test('is rebuilt by itself where its version changed, and serves its old rows until then', async () => {
    const address = await server.createDatabase()
    {
      await using running = await follow(address)
      await running.log.append([write('a', [opened(), moved(1n)])])
      await reached(running)
    }
    const models = ledgerModels({ projections: [ledgerProjection({ version: 2, bonus: 100n })] })
    await using log = await openLog(address, { participants: [models] })
    expect(await history(address)).toMatchObject([{ balance: '0' }, { balance: '1' }])
    models.follow()
    await reached({ log, models })
    expect(await history(address)).toMatchObject([{ balance: '100' }, { balance: '101' }])
    await log.append([write('a', [moved(1n)])])
    await reached({ log, models })
    expect(await history(address)).toMatchObject([{}, {}, { balance: '102' }])
    await models.close()
  })

  test('is switched to a build while it follows, and never goes back', async () => {
    const address = await server.createDatabase()
    await using running = await follow(address)
    const { log, models } = running
    await log.append([write('a', [opened(), moved(1n)])])
    await reached(running)
    await server.run(address.database ?? '', `update ledger set owner = 'eve' where to_position is null`)
    const pool = poolOf(address)
    await buildProjection({
      ...{ pool, reader: log, projection: ledgerProjection(), sql: ledgerSql, decode: decodeAccountEvent },
      nowUs: () => 1n,
    })
    await pool.end()
    await log.append([write('a', [moved(2n)])])
    await reached(running)
    const { position } = await models.switchTo('ledger')
    expect(position).toBe(log.head.position)
    await log.append([write('a', [moved(3n)])])
    await reached(running)
    expect(await history(address)).toMatchObject(['0', '1', '3', '6'].map((balance) => ({ owner: 'ann', balance })))
  })
})

describe('a quarantined stream', () => {
  test.each([
    { live: true, cause: 'its handler' },
    { live: false, cause: 'its handler' },
    { live: true, cause: 'the database' },
    { live: false, cause: 'the database' },
  ])(
    'is left out with an event that $cause refuses (live: $live), others go on; skip follows it on',
    async ({ live, cause }) => {
      const address = await server.createDatabase()
      const options = { projections: [ledgerProjection({ live })] }
      await using running = await follow(address, options)
      const { log, models } = running
      await log.append([write('a', [opened()]), write('b', [opened('bob')])])
      const poison = cause === 'its handler' ? newEvent('AccountMoved', { by: 'x' }) : moved(666n)
      await log.append([write('a', [poison])], { kind: 'fact' })
      if (!live) await reached(running)
      expect(models.deadLetters).toMatchObject([
        { projection: 'ledger', stream: 'a', position: 3n, attempts: 1, lastTriedAtUs: null },
      ])
      const failed = await resumeStream({ log, models }, { kind: 'retry', projection: 'ledger', stream: 'a' })
      expect(failed).toMatchObject({ position: 3n, attempts: 2, lastTriedAtUs: log.head.recordedAtUs })
      await log.append([write('a', [moved(2n)]), write('b', [moved(1n)])])
      await log.append([write('a', [moved(3n)])])
      const left = await resumeStream({ log, models }, { kind: 'skip', projection: 'ledger', stream: 'a' })
      expect(left).toBeNull()
      const skipped = log.head.position
      await log.append([write('a', [moved(4n)])])
      if (!live) await reached(running)
      const rows = await history(address)
      expect(rows).toMatchObject([
        { account: 'a', balance: '0', from_position: '1', to_position: String(skipped) },
        { account: 'b', balance: '0' },
        { account: 'b', balance: '1' },
        { account: 'a', balance: '5', from_position: String(skipped) },
        { account: 'a', balance: '9', to_position: null },
      ])
      expect((await server.run(address.database ?? '', 'select 1 from dead_letter')).rowCount).toBe(0)
      expect(await models.replayCheck()).toMatchObject({ identical: true })
      // A build honours what was recorded, to the row.
      const pool = poolOf(address)
      const sql = ledgerSql
      const [projection] = options.projections
      if (projection === undefined) throw new Error('there is one')
      await buildProjection({ pool, reader: log, projection, sql, decode: decodeAccountEvent, nowUs: () => 1n })
      expect(await history(address, 'build_ledger.ledger')).toEqual(rows)
      await pool.end()
    },
  )

  test('is followed from its first event on where a retry succeeds; a second poison event quarantines it again', async () => {
    const address = await server.createDatabase()
    let fixed = false
    const decode: ReadModelsOptions['decode'] = (event) => {
      if (!fixed && event.position === 2n) throw new Error('not yet')
      if (event.position === 4n) throw new Error('never')
      return decodeAccountEvent(event)
    }
    const models = ledgerModels({ projections: [ledgerProjection({ live: true })], decode })
    await using log = await openLog(address, { participants: [models] })
    await log.append([write('a', [opened()])])
    await log.append([write('a', [moved(1n), moved(2n), moved(3n), moved(4n)])], { kind: 'fact' })
    fixed = true
    const again = await resumeStream({ log, models }, { kind: 'retry', projection: 'ledger', stream: 'a' })
    expect(again).toMatchObject({ position: 4n, attempts: 1, error: 'never' })
    expect(models.view.rows(ledgerTable).get({ account: 'a' })).toMatchObject({ balance: 3n })
    expect(await models.replayCheck()).toMatchObject({ identical: true })
    expect(await resumeStream({ log, models }, { kind: 'skip', projection: 'ledger', stream: 'a' })).toBeNull()
    expect(models.view.rows(ledgerTable).get({ account: 'a' })).toMatchObject({ balance: 7n })
    expect(await models.replayCheck()).toMatchObject({ identical: true })
    await expect(resumeStream({ log, models }, { kind: 'skip', projection: 'ledger', stream: 'a' })).rejects.toThrow(
      'it is not quarantined there',
    )
  })
})
