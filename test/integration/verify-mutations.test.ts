import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import { fillLog, mutatedTables, seededRandom, TamperedLog } from '../support/tampered-log.ts'

const mutations = 300
let server: ScratchPostgres
let log: TamperedLog

beforeAll(async () => {
  server = await ScratchPostgres.start()
  const address = await server.createDatabase()
  await fillLog(address, { events: 700 })
  log = await TamperedLog.open(address)
}, 120_000)
afterAll(async () => {
  await log[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

describe('verifyLog()', () => {
  test('has nothing to say of a log that nobody touched', async () => {
    expect(await log.verify()).toMatchObject({ findings: [], count: 0, notes: [], unnamedBlobs: 0 })
  })

  // `node test/bench/mutations.ts` flips 10,000
  test(`finds ${mutations} flipped bits over every column, and says where each is`, async () => {
    const random = seededRandom(20_260_303)
    const missed: object[] = []
    const tried = new Set<string>()
    for (let at = 0, done = 0; done < mutations; at += 1) {
      const column = log.columns[at % log.columns.length]
      const verdict = column === undefined ? null : await log.mutate(column, random)
      if (column === undefined || verdict === null) continue
      done += 1
      tried.add(`${column.table}.${column.column}`)
      if (!verdict.found || !verdict.located)
        missed.push({ ...verdict.mutation, said: verdict.report.findings.slice(0, 2) })
    }
    expect(missed).toEqual([])
    expect(tried.size).toBe(log.columns.length)
    expect(new Set(log.columns.map(({ table }) => table)).size).toBe(mutatedTables.length)
  }, 240_000)
})
