import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LogCorruptError } from '../../src/eventstore/append-errors.ts'
import { backupLockKey, backupLog } from '../../src/eventstore/backup-log.ts'
import { surveyBackup } from '../../src/eventstore/backup-survey.ts'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'
import { restoreLog } from '../../src/eventstore/restore-log.ts'
import { sha256 } from '../../src/util/sha256.ts'
import { changeFile, flip, scratchDirectory } from '../support/backup-kit.ts'
import { expectSame, fill, holds, names } from '../support/backup-log-kit.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

let server: ScratchPostgres
let scratch: Awaited<ReturnType<typeof scratchDirectory>>
let directories = 0
beforeAll(async () => {
  server = await ScratchPostgres.start()
  scratch = await scratchDirectory()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await scratch[Symbol.asyncDispose]()
})

function newDirectory(): string {
  return join(scratch.path, String(++directories))
}

describe('backupLog() into the same directory', () => {
  test('writes only what is new, and says so', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await fill(log, 200)
    const dir = newDirectory()
    const first = await backupLog({ address, dir, segmentRows: 256 })
    expect(first.kept).toEqual([])
    const unchanged = await backupLog({ address, dir })
    expect(unchanged).toMatchObject({ written: [], removed: [], repaired: [] })
    expect(unchanged.manifest.files).toEqual(first.manifest.files)
    await fill(log, 10)
    const second = await backupLog({ address, dir })
    expect(names(second.kept)).toEqual(
      expect.arrayContaining(names(first.written).filter((name) => /^events-0+-0+255-/.test(name))),
    )
    const kinds = new Set(second.written.map(({ kind }) => kind))
    expect([...kinds].toSorted()).toEqual(['blobs', 'commits', 'events'])
    expect(second.written.filter(({ kind }) => kind === 'events').map(({ first: at }) => at)).toEqual([512n])
    expect(second.written.find(({ kind }) => kind === 'blobs')).toMatchObject({ rows: 10 })
    expect((await readdir(dir)).toSorted()).toEqual(['manifest.json', ...names(second.manifest.files)].toSorted())
    const target = await server.createDatabase()
    await restoreLog({ address: target, dir })
    await expectSame(address, target)
  })

  test('writes again what is damaged or gone', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await fill(log, 200)
    const dir = newDirectory()
    const { written } = await backupLog({ address, dir, segmentRows: 256 })
    const [events, blobs] = [
      written.find(({ kind }) => kind === 'events'),
      written.find(({ kind }) => kind === 'blobs'),
    ]
    await changeFile(join(dir, events?.name ?? ''), (bytes) => flip(bytes, 200, 1))
    await rm(join(dir, blobs?.name ?? ''))
    const report = await backupLog({ address, dir })
    expect(report.repaired).toEqual([events?.name, blobs?.name])
    expect((await surveyBackup(dir)).damages).toEqual([])
  })

  test('takes erased data and texts out of the files that held them', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    const secret = 'the secret of this guest'
    const big = `${secret}, at length`
    const blobs = [{ sha256: sha256(big), bytes: Buffer.from(big) }]
    await log.append([write('guest', [newEvent('Told', { secret, text: sha256(big) })], { blobs })])
    await fill(log, 200)
    const dir = newDirectory()
    const first = await backupLog({ address, dir, segmentRows: 256 })
    expect(await holds(dir, first, secret)).toEqual(['blobs', 'events'])
    const [told] = await collect(log.readStream('guest'))
    const dataSha256 = sha256(Buffer.from(told?.data ?? []))
    await server.run(
      address.database ?? '',
      `select log_erase_payload(${told?.position}, '\\x${dataSha256}', array['\\x${sha256(big)}'::bytea], ${told?.position})`,
    )
    const erased = { position: told?.position ?? 0n, dataSha256 }
    await log.append([write('erasures', [newEvent('PayloadErased', erased)])])
    const second = await backupLog({ address, dir })
    expect(await holds(dir, second, secret)).toEqual([])
    expect(second.removed).toEqual(
      expect.arrayContaining(names(first.written).filter((name) => /^events-0+-0+255-/.test(name))),
    )
    const target = await server.createDatabase()
    const { checked } = await restoreLog({ address: target, dir })
    expect(checked.root).toBe(Buffer.from(log.head.root).toString('hex'))
    await expectSame(address, target)
  })

  test('leaves the earlier backup whole where it is interrupted', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await fill(log, 300)
    const dir = newDirectory()
    const first = await backupLog({ address, dir, segmentRows: 256 })
    await fill(log, 600)
    const stop = new AbortController()
    const cut = backupLog({
      address,
      dir,
      signal: stop.signal,
      onProgress: ({ kind, done }) => {
        if (kind === 'events' && done > 1_500n) stop.abort(new Error('cut off'))
      },
    })
    await expect(cut).rejects.toThrow()
    const { manifest, damages } = await surveyBackup(dir)
    expect(manifest).toEqual(first.manifest)
    expect(damages).toEqual([])
    const { manifest: whole } = await backupLog({ address, dir })
    expect((await readdir(dir)).toSorted()).toEqual(['manifest.json', ...names(whole.files)].toSorted())
    expect((await surveyBackup(dir)).damages).toEqual([])
  })

  test('refuses the backup of another log, of one that was set back, and of one that went another way', async () => {
    const address = await server.createDatabase()
    const log = await openLog(address)
    await fill(log, 20)
    const [early, dir] = [newDirectory(), newDirectory()]
    await backupLog({ address, dir: early })
    await fill(log, 20)
    await backupLog({ address, dir })
    await log.close()
    const other = await server.createDatabase()
    await (await openLog(other)).close()
    await expect(backupLog({ address: other, dir })).rejects.toThrow(
      /it holds a backup of log .*, this log is .*; name another directory/,
    )
    const back = await server.createDatabase()
    await restoreLog({ address: back, dir: early })
    await expect(backupLog({ address: back, dir })).rejects.toThrow(/the log was set back/)
    const again = await openLog(back)
    await fill(again, 60)
    await again.close()
    await expect(backupLog({ address: back, dir })).rejects.toThrow(/they went different ways/)
    const empty = await server.createDatabase()
    await expect(backupLog({ address: empty, dir })).rejects.toThrow(/holds no event log/)
  })

  test('is refused while another backup of the log is made', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await fill(log, 20)
    const other = new pg.Client(clientConfig(address, 'test'))
    await other.connect()
    await other.query('select pg_advisory_lock($1::int8)', [backupLockKey])
    const dir = newDirectory()
    await expect(backupLog({ address, dir })).rejects.toThrow('another backup of this log is being made')
    await other.end()
    await backupLog({ address, dir })
  })

  test('refuses a log whose events do not give their roots', async () => {
    const address = await server.createDatabase()
    const log = await openLog(address)
    await fill(log, 20)
    await log.close()
    await server.run(
      address.database ?? '',
      `set session_replication_role = 'replica'; update event set meta = '{"x":1}' where pos = 30`,
    )
    const dir = newDirectory()
    await expect(backupLog({ address, dir })).rejects.toThrow(LogCorruptError)
    expect(await readdir(dir)).not.toContain('manifest.json')
  })
})
