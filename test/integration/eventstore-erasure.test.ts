import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blobOf } from '../../src/eventstore/blob-of.ts'
import { DatabaseSource } from '../../src/eventstore/database-source.ts'
import type { ErasurePlan } from '../../src/eventstore/erasures.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { verifyLog } from '../../src/eventstore/verify-log.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import { noteTexts } from '../support/tampered-log.ts'

let server: ScratchPostgres

beforeAll(async () => {
  server = await ScratchPostgres.start()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

async function planned(log: EventStore, position: bigint): Promise<ErasurePlan> {
  const plan = await log.planErasure(position)
  if (plan === null) throw new Error(`Cannot plan the erasure of @${position}: it has no data`)
  return plan
}

function erasure(plan: object, stream = 'node-test') {
  return [write(stream, [newEvent('PayloadErased', { ...plan, reason: 'asked for' })])]
}

async function findings(address: PostgresAddress): Promise<readonly string[]> {
  await using source = await DatabaseSource.open(address)
  return (await verifyLog(source, { blobNames: noteTexts })).findings.map(({ text }) => text)
}

const note = (text: string) => {
  const blob = blobOf(text.repeat(500))
  return write('note-1', [newEvent('TextNoted', { textSha256: blob.sha256 })], { blobs: [blob] })
}

describe('a PayloadErased event', () => {
  test('takes data and big text away in its commit, leaves the hash, the tree and every other event', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await log.append([note('secret '), note('kept '), write('a', [newEvent('Put', { secret: 'word' })])])
    const before = await collect(log.readAll())
    const plan = await planned(log, 1n)
    expect(plan).toMatchObject({ position: 1n, stream: 'note-1', type: 'TextNoted', searchedTo: 3n })
    expect(plan.texts).toEqual([blobOf('secret '.repeat(500)).sha256])
    await log.blobs.read(plan.texts[0] ?? '')
    await log.append(erasure(plan))
    const after = await collect(log.readAll())
    const [erased] = after.slice(1)
    expect(erased?.data).toHaveLength(0)
    expect(Buffer.from(erased?.dataHash ?? []).toString('hex')).toBe(plan.dataSha256)
    expect(after.filter(({ position }) => position !== 1n).slice(0, 3)).toEqual(
      before.filter(({ position }) => position !== 1n),
    )
    await expect(log.blobs.read(plan.texts[0] ?? '')).rejects.toThrow('the log has none of that name')
    expect(await log.planErasure(1n)).toBeNull()
    expect(await log.planErasure(99n)).toBeNull()
    expect(await findings(address)).toEqual([])
  })

  test('reaches those who follow the log from memory', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await log.append([write('a', [newEvent('Put', { secret: 'word' })])])
    await log.append(erasure(await planned(log, 1n)))
    const stop = new AbortController()
    for await (const delivery of log.subscribe({ from: 1n, signal: stop.signal })) {
      if (delivery.kind !== 'event') continue
      expect(delivery.event).toMatchObject({ position: 1n, data: Buffer.alloc(0) })
      break
    }
    stop.abort()
  })

  test('leaves a log that opens again, with the same tree', async () => {
    const address = await server.createDatabase()
    {
      await using log = await openLog(address)
      await log.append([write('a', [newEvent('Put', { secret: 'word' }), newEvent('Put')])])
      await log.append(erasure(await planned(log, 1n)))
    }
    await using log = await openLog(address)
    expect(log.head.position).toBe(4n)
    expect(await findings(address)).toEqual([])
  })

  test('leaves a big text that another event names, also one that names it in between', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await log.append([note('twice '), note('twice '), note('once ')])
    expect((await planned(log, 1n)).texts).toEqual([])
    await log.append(erasure(await planned(log, 1n)))
    const plan = await planned(log, 3n)
    expect(plan.texts).toHaveLength(1)
    await log.append([note('once ')])
    await log.append(erasure(plan))
    expect(Buffer.from(await log.blobs.read(plan.texts[0] ?? '')).toString()).toBe('once '.repeat(500))
    expect(await findings(address)).toEqual([])
  })

  test('erases nothing from another stream, or where it does not say what', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await log.append([write('a', [newEvent('Put', { secret: 'word' })])])
    const plan = await planned(log, 1n)
    await log.append(erasure(plan, 'other-1'))
    expect(await log.planErasure(1n)).toEqual({ ...plan, searchedTo: 2n })
    await expect(log.append(erasure({ position: 1n }))).rejects.toThrow('it does not say what to erase')
    await expect(log.append(erasure({ ...plan, dataSha256: '0'.repeat(64) }))).rejects.toThrow(
      'it has no data with that SHA-256',
    )
    await log.append([write('a', [newEvent('Put')])])
    expect(await log.planErasure(1n)).not.toBeNull()
  })

  test('is the only way to change an event, and to remove a big text', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await log.append([note('kept ')])
    const run = (sql: string) => server.run(address.database ?? '', sql)
    const erasing = `select set_config('chronovisor.erases', 'yes', false)`
    await expect(run('delete from blob')).rejects.toThrow('the log is append-only')
    await expect(run(`${erasing}; update event set meta = data`)).rejects.toThrow('the log is append-only')
    await expect(run(`${erasing}; update event set data = null, data_hash = sha256('x')`)).rejects.toThrow(
      'append-only',
    )
    await expect(run(`${erasing}; update blob set bytes = 'x'`)).rejects.toThrow('the log is append-only')
    await expect(run(`${erasing}; delete from event`)).rejects.toThrow('the log is append-only')
  })

  test('is missed where data was taken away without it', async () => {
    const address = await server.createDatabase()
    {
      await using log = await openLog(address)
      await log.append([write('a', [newEvent('Put', { secret: 'word' }), newEvent('Put', { secret: 'other' })])])
      await log.append(erasure(await planned(log, 1n)))
    }
    const change = (sql: string) => server.run(address.database ?? '', `set session_replication_role = replica; ${sql}`)
    await change('update event set data_hash = sha256(data), data = null where pos = 2')
    expect(await findings(address)).toEqual(['event @2 has no data, and no event says that it was erased'])
    await change(`update event set data = '{"secret":"word"}', data_hash = null where pos = 1`)
    expect(await findings(address)).toContain('event @1 has data, which @3 says was erased')
  })
})
