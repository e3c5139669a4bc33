import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FencedError } from '../../src/eventstore/append-errors.ts'
import { CutProxy } from '../support/cut-proxy.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

const hourUs = 3_600_000_000n
const nowUs = () => BigInt(Date.now()) * 1_000n

describe('EventStore.positionAt()', () => {
  test('gives an answer that holds under the next writer, whose clock is behind', async () => {
    const address = await server.createDatabase()
    const ahead = await openLog(address, { nowUs: () => nowUs() + hourUs })
    await ahead.append([write('a', [newEvent('Put')])])
    const timeUs = nowUs() + hourUs
    const position = await ahead.positionAt(timeUs)
    expect(position).toBe(1n)
    await ahead.close()
    const clock = { offsetUs: 0n }
    await using behind = await openLog(address, { nowUs: () => nowUs() + clock.offsetUs })
    expect(await behind.append([write('a', [newEvent('Put')])])).toHaveProperty('lastPosition', 3n)
    clock.offsetUs = 2n * hourUs
    expect(await behind.positionAt(timeUs)).toBe(position)
  })

  test('is refused by a writer that was replaced and does not know it', async () => {
    const direct = await server.createDatabase()
    await using proxy = await CutProxy.start(`${server.socketDir}/.s.PGSQL.5432`)
    await using replaced = await openLog({ ...direct, host: '127.0.0.1', port: proxy.port })
    const { recordedAtUs, position } = replaced.head
    proxy.refuse() // it is cut off, its lock goes
    await using log = await openLog(direct)
    await log.append([write('a', [newEvent('Put')])])
    proxy.allow()
    await expect(replaced.positionAt(nowUs())).rejects.toThrow(FencedError)
    // What lies before its own last commit cannot change any more.
    expect(await replaced.positionAt(recordedAtUs)).toBe(position)
  })
})
