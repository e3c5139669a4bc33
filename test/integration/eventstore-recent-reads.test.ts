import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ReadStreamOptions } from '../../src/eventstore/log-reader.ts'
import { LogReads } from '../../src/eventstore/log-reads.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { poolOf } from '../support/pool-of.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 90_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

/** A log with a small ring, and reads of it that know only the table. */
async function openBoth(address: PostgresAddress, ringEvents = 12) {
  const log = await openLog(address, { limits: { ringEvents } })
  const pool = poolOf(address)
  const table = new LogReads(pool)
  const close = async () => {
    await table.close()
    await pool.end()
    await log.close()
  }
  return { log, table, [Symbol.asyncDispose]: close }
}

const stream = fc.constantFrom('a-1', 'a-2', 'b-1')
const appended = fc.array(fc.record({ stream, count: fc.integer({ min: 1, max: 4 }) }), { minLength: 1, maxLength: 3 })
const reading: fc.Arbitrary<ReadStreamOptions> = fc.record(
  {
    from: fc.bigInt(-2n, 20n),
    maxCount: fc.constantFrom(0, 1, 1.5, 3, 7),
    direction: fc.constantFrom('forwards', 'backwards'),
  },
  { requiredKeys: [] },
)
const steps = fc.array(fc.record({ appended, stream, reading }), { minLength: 1, maxLength: 25 })

describe('readStream() of the writer', () => {
  test('gives what the table says, wherever it takes it from', async () => {
    await using both = await openBoth(await server.createDatabase())
    const { log, table } = both
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        for (const each of all) {
          await log.append(
            each.appended.map(({ stream: name, count }) =>
              write(
                name,
                Array.from({ length: count }, () => newEvent('Told', { name })),
              ),
            ),
          )
          const end = (await collect(log.readStream(each.stream, { direction: 'backwards', maxCount: 1 })))[0]?.revision
          // Around the end of the stream, where the ring may or may not reach
          const near = each.reading.from === undefined ? {} : { from: (end ?? 0n) - each.reading.from + 3n }
          for (const options of [each.reading, { ...each.reading, ...near }]) {
            const found = await collect(log.readStream(each.stream, options))
            expect(found).toEqual(await collect(table.readStream(each.stream, options)))
          }
        }
      }),
      { numRuns: 20 },
    )
  })

  test('takes recent events from memory', async () => {
    await using both = await openBoth(await server.createDatabase())
    const { log } = both
    const { events } = await log.append([write('a-1', [newEvent('Told'), newEvent('Told')])])
    const [, second] = await collect(log.readStream('a-1'))
    expect(second).toBe(events[1])
    await log.append([
      write(
        'a-2',
        Array.from({ length: 12 }, () => newEvent('Told')),
      ),
    ])
    const [, later] = await collect(log.readStream('a-1'))
    expect(later).not.toBe(events[1])
    expect(later).toEqual(events[1])
  })

  test('never shows less than the table has shown before it began', async () => {
    await using both = await openBoth(await server.createDatabase(), 1_000)
    const { log, table } = both
    let isOver = false
    const writers = Array.from({ length: 4 }, async () => {
      while (!isOver) await log.append([write('a-1', [newEvent('Told')])])
    })
    let looks = 0
    let end = -1n
    while (looks < 150) {
      const seen = (await collect(table.readStream('a-1', { direction: 'backwards', maxCount: 1 })))[0]?.revision ?? -1n
      const shown = await collect(log.readStream('a-1', { from: end + 1n }))
      const last = shown.at(-1)?.revision ?? end
      expect(last >= seen).toBe(true)
      expect(shown.map(({ revision }) => revision - end - 1n)).toEqual(shown.map((_, at) => BigInt(at)))
      end = last
      looks += 1
    }
    isOver = true
    await Promise.all(writers)
    expect(end > 10n).toBe(true)
  })

  test('loses no update of clients that read, decide and append', async () => {
    await using both = await openBoth(await server.createDatabase(), 1_000)
    const { log, table } = both
    await log.append([write('a-1', [newEvent('Told', { n: 0 })])])
    let done = 0
    let conflicts = 0
    const client = async () => {
      while (done < 60) {
        const events = await collect(log.readStream('a-1'))
        const n = events.length
        try {
          const expectedRevision = BigInt(n - 1)
          await log.append([write('a-1', [newEvent('Told', { n })], { expectedRevision })])
          done += 1
        } catch (error) {
          expect(String(error)).toContain('revision')
          conflicts += 1
        }
      }
    }
    await Promise.all(Array.from({ length: 8 }, client))
    const numbers = (await collect(table.readStream('a-1'))).map(({ data }) => JSON.parse(Buffer.from(data).toString()))
    expect(numbers).toEqual(numbers.map((_, n) => ({ n })))
    expect(conflicts).toBeGreaterThan(0)
  })
})
