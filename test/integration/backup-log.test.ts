import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { backupLog } from '../../src/eventstore/backup-log.ts'
import { restoreLog } from '../../src/eventstore/restore-log.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

let server: ScratchPostgres
let directory: string
beforeAll(async () => {
  server = await ScratchPostgres.start()
  directory = await mkdtemp(join(tmpdir(), 'backup-'))
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

describe('backupLog() and restoreLog()', () => {
  test('give back every event, at the same root', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    for (let at = 0; at < 40; at += 1) {
      await log.append([write(`s-${at % 7}`, [newEvent('Put', { at }), newEvent('Got', { at })])])
    }
    const dir = join(directory, 'same')
    const report = await backupLog({ address, dir, segmentRows: 16 })
    expect(report.manifest.head.position).toBe(log.head.position)
    const target = await server.createDatabase()
    const restored = await restoreLog({ address: target, dir })
    expect(restored.checked.root).toBe(Buffer.from(log.head.root).toString('hex'))
    const events = await collect(log.readAll())
    await using again = await openLog(target)
    expect((await collect(again.readAll())).slice(0, -1)).toEqual(events)
    expect(again.head.epoch).toBe(log.head.epoch + 1)
  })
})
