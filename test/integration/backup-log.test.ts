import { hash } from 'node:crypto'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WriterBusyError } from '../../src/eventstore/append-errors.ts'
import { backupLog } from '../../src/eventstore/backup-log.ts'
import { backupKinds } from '../../src/eventstore/backup-kinds.ts'
import { BackupDamagedError } from '../../src/eventstore/backup-reader.ts'
import type { CopyRow } from '../../src/eventstore/backup-row.ts'
import { BackupSource } from '../../src/eventstore/backup-source.ts'
import { surveyBackup } from '../../src/eventstore/backup-survey.ts'
import { compareBackup } from '../../src/eventstore/compare-backup.ts'
import { DatabaseSource } from '../../src/eventstore/database-source.ts'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'
import { logOrigin } from '../../src/eventstore/log-origin.ts'
import { newSignerKey, parseSignerKey } from '../../src/eventstore/signed-note.ts'
import { verifyLog } from '../../src/eventstore/verify-log.ts'
import { restoreLog } from '../../src/eventstore/restore-log.ts'
import { changeFile, flip, rewriteSegment, scratchDirectory } from '../support/backup-kit.ts'
import { expectSame, fill } from '../support/backup-log-kit.ts'
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

describe('backupLog() and restoreLog()', () => {
  test('give back every row of every table, computed ones included, and the daemon goes on after it', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await fill(log, 500)
    const dir = newDirectory()
    const { manifest } = await backupLog({ address, dir, segmentRows: 512, program: 'test 1' })
    expect(manifest).toMatchObject({ program: 'test 1', head: { position: log.head.position } })
    const target = await server.createDatabase()
    const { checked } = await restoreLog({ address: target, dir })
    expect(checked).toMatchObject({ events: 1501n, commits: manifest.head.commitNo + 1n })
    expect(checked.root).toBe(Buffer.from(log.head.root).toString('hex'))
    await expectSame(address, target)
    const events = await collect(log.readAll())
    await using again = await openLog(target)
    expect(again.head).toMatchObject({ epoch: log.head.epoch + 1, position: log.head.position + 1n })
    expect((await collect(again.readAll())).slice(0, -1)).toEqual(events)
    await again.append([write('s-1', [newEvent('Put')])])
  })

  test('keep the signed checkpoints, which a restore compares, by the keys of the log or by a given one', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    const dir = newDirectory()
    const { manifest } = await backupLog({ address, dir, segmentRows: 256 })
    const signer = parseSignerKey(newSignerKey(logOrigin(manifest.log)))
    const notes: string[] = []
    for (const commits of [90, 100, 1]) {
      await fill(log, commits)
      notes.push(await log.signCheckpoint(signer))
    }
    await fill(log, 7)
    expect((await backupLog({ address, dir })).manifest.checkpoint).toBe(notes[2])
    const target = await server.createDatabase()
    const { checked } = await restoreLog({ address: target, dir, trusted: [signer.verifier] })
    expect(checked).toMatchObject({ checkpoints: 3, checkpointSize: 574n })
    await expectSame(address, target)
    const stranger = parseSignerKey(newSignerKey(logOrigin(manifest.log))).verifier
    const other = await server.createDatabase()
    await expect(restoreLog({ address: other, dir, trusted: [stranger] })).rejects.toThrow(
      /the checkpoint of 271 events: /,
    )
    const unsigned = newDirectory()
    const empty = await server.createDatabase()
    await (await openLog(empty)).close()
    await backupLog({ address: empty, dir: unsigned })
    await expect(restoreLog({ address: other, dir: unsigned, trusted: [stranger] })).rejects.toThrow(
      /no signed checkpoint/,
    )
  })

  test('hold what verifyLog() finds whole, in the files and in the restored database', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await fill(log, 100)
    const dir = newDirectory()
    await backupLog({ address, dir, segmentRows: 256 })
    await fill(log, 20)
    const { manifest } = await backupLog({ address, dir })
    expect(manifest.files.filter(({ kind }) => kind === 'blobs').length).toBe(2)
    const inFiles = await verifyLog(new BackupSource(dir, manifest))
    expect(inFiles).toMatchObject({ findings: [], events: 361n, blobs: 120 })
    expect(Buffer.from(inFiles.root).toString('hex')).toBe(manifest.head.root)
    const target = await server.createDatabase()
    await restoreLog({ address: target, dir })
    await using source = await DatabaseSource.open(target)
    expect(await verifyLog(source)).toMatchObject({ findings: [], events: 361n, blobs: 120 })
  })

  test('know every table of the schema: a new one must be backed up, or computed', async () => {
    const address = await server.createDatabase()
    await (await openLog(address)).close()
    const client = new pg.Client(clientConfig(address, 'test'))
    await client.connect()
    const { rows } = await client.query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`,
    )
    await client.end()
    const computed = ['type_block', 'category_block', 'tile', 'tree_edge']
    const ofThisOpening = ['writer', 'schema_migration']
    const ofReadModels = ['projection', 'dead_letter', 'temporal_row', 'projection_build', 'build']
    const inManifest = ['log']
    const known = [
      ...backupKinds.map(({ table }) => table),
      ...computed,
      ...ofThisOpening,
      ...ofReadModels,
      ...inManifest,
    ]
    expect(rows.map(({ name }) => name).filter((name) => !known.includes(name))).toEqual([])
  })

  test('hold one moment of a log that is written to meanwhile', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await fill(log, 300)
    const dir = newDirectory()
    let stop = false
    const writing = (async () => {
      while (!stop) await fill(log, 5)
    })()
    const reports = []
    for (let round = 0; round < 4; round += 1) reports.push(await backupLog({ address, dir, segmentRows: 256 }))
    stop = true
    await writing
    const heads = reports.map(({ manifest }) => manifest.head.position)
    expect(heads).toEqual(heads.toSorted((a, b) => (a < b ? -1 : 1)))
    expect((await surveyBackup(dir)).damages).toEqual([])
    const target = await server.createDatabase()
    const { checked, manifest } = await restoreLog({ address: target, dir })
    expect(checked.events).toBe((heads.at(-1) ?? 0n) + 1n)
    const comparison = await compareBackup(dir, { manifest, address })
    expect(comparison).toMatchObject({
      kind: 'same',
      missing: { positions: { first: checked.events, last: log.head.position } },
    })
  })

  test('bring back an empty log', async () => {
    const address = await server.createDatabase()
    await (await openLog(address)).close()
    const copy = await server.createDatabase()
    const dir = newDirectory()
    // A log that has its genesis and nothing else: no daemon leaves one, a restore must not stumble over it.
    const client = new pg.Client(clientConfig(address, 'test'))
    await client.connect()
    await client.query("set session_replication_role = 'replica'")
    for (const table of ['event', 'stream', 'event_type', 'category', 'type_block', 'category_block'])
      await client.query(`delete from ${table}`)
    await client.query('delete from commit where commit_no > 0')
    await client.end()
    await backupLog({ address, dir })
    const { checked } = await restoreLog({ address: copy, dir })
    expect(checked).toMatchObject({ events: 0n, commits: 1n, root: hash('sha256', '') })
  })
})

describe('restoreLog()', () => {
  test('refuses a database that is not empty, naming what is there', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    const dir = newDirectory()
    await backupLog({ address, dir })
    await expect(restoreLog({ address, dir })).rejects.toThrow(WriterBusyError)
    const full = await server.createDatabase()
    await (await openLog(full)).close()
    await expect(restoreLog({ address: full, dir })).rejects.toThrow(
      /it holds log [0-9a-f-]{36} of host .* up to position 0, it must be empty/,
    )
    const other = await server.createDatabase()
    await server.run(other.database ?? '', 'create table invoices (id int)')
    await expect(restoreLog({ address: other, dir })).rejects.toThrow('it holds 1 tables (invoices), it must be empty')
    expect(log.head.position).toBe(0n)
  })

  test('leaves nothing behind of a damaged backup, nor when it is interrupted', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await fill(log, 400)
    const dir = newDirectory()
    const { manifest } = await backupLog({ address, dir, segmentRows: 256 })
    const target = await server.createDatabase()
    const stop = new AbortController()
    const onProgress = ({ step, done }: { step: string; done: bigint }): void => {
      if (step === 'tree' && done > 600n) stop.abort(new Error('cut off'))
    }
    await expect(restoreLog({ address: target, dir, signal: stop.signal, onProgress })).rejects.toThrow('cut off')
    const last = manifest.files.filter(({ kind }) => kind === 'events').at(-1)
    await changeFile(join(dir, last?.name ?? ''), (bytes) => flip(bytes, bytes.length - 60, 1))
    await expect(restoreLog({ address: target, dir })).rejects.toThrow(BackupDamagedError)
    await backupLog({ address, dir })
    await restoreLog({ address: target, dir })
    await expectSame(address, target)
  })

  test('refuses rows that are whole but do not give the recorded roots', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await fill(log, 3)
    const dir = newDirectory()
    const { manifest } = await backupLog({ address, dir })
    const [file] = manifest.files.filter(({ kind }) => kind === 'events')
    if (file === undefined) throw new Error('The backup has no events')
    // Another digit in the data of the last event, every hash of the file as it should be.
    const change = ({ bytes }: CopyRow): Buffer => {
      const at = bytes.indexOf('"at":2')
      return at === -1 ? bytes : Buffer.concat([bytes.subarray(0, at + 5), Buffer.from('7'), bytes.subarray(at + 6)])
    }
    await rewriteSegment(dir, manifest, { file, change })
    const target = await server.createDatabase()
    const restoring = restoreLog({ address: target, dir })
    await expect(restoring).rejects.toThrow(/the events up to position \d+ do not give the root of commit \d+/)
  })
})
