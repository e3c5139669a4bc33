import { hash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LogCorruptError, WriterBusyError } from '../../src/eventstore/append-errors.ts'
import { backupLockKey, type BackupReport, backupLog } from '../../src/eventstore/backup-log.ts'
import { backupKinds } from '../../src/eventstore/backup-kinds.ts'
import { BackupDamagedError, readBackupFile } from '../../src/eventstore/backup-reader.ts'
import type { CopyRow } from '../../src/eventstore/backup-row.ts'
import { surveyBackup } from '../../src/eventstore/backup-survey.ts'
import { compareBackup } from '../../src/eventstore/compare-backup.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { restoreLog } from '../../src/eventstore/restore-log.ts'
import { sha256 } from '../../src/util/sha256.ts'
import { changeFile, flip, rewriteSegment, scratchDirectory } from '../support/backup-kit.ts'
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

/** Appends events in commits of three, over some streams, each commit with a big text. */
async function fill(log: EventStore, commits: number): Promise<void> {
  const appends = Array.from({ length: commits }, (_, at) => {
    const text = `<domain at='${log.head.position}-${at}'/>`
    const blobs = [{ sha256: sha256(text), bytes: Buffer.from(text) }]
    const events = Array.from({ length: 3 }, (_each, n) => newEvent(`Put${n}`, { at, text: sha256(text) }))
    return log.append([write(`s-${at % 40}`, events, { blobs })])
  })
  await Promise.all(appends)
}

/** Everything that the tables of a log hold, as one text a table. */
async function contents(address: PostgresAddress, tables: readonly string[]): Promise<Record<string, string>> {
  const client = new pg.Client(clientConfig(address, 'test'))
  await client.connect()
  try {
    const found: Record<string, string> = {}
    for (const table of tables) {
      const { rows } = await client.query<{ text: string | null }>(
        `select count(*) || ' ' || md5(string_agg(t::text, e'\\n' order by t::text)) as text from ${table} t`,
      )
      found[table] = rows[0]?.text ?? 'empty'
    }
    return found
  } finally {
    await client.end()
  }
}

/** All that a restore brings back, also what it computes. */
const logTables = [...backupKinds.map(({ table }) => table), 'log', 'type_block', 'category_block', 'tile']

async function same(one: PostgresAddress, other: PostgresAddress): Promise<void> {
  expect(await contents(other, logTables)).toEqual(await contents(one, logTables))
}

function names(files: BackupReport['written']): string[] {
  return files.map(({ name }) => name)
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
    await same(address, target)
    const events = await collect(log.readAll())
    await using again = await openLog(target)
    expect(again.head).toMatchObject({ epoch: log.head.epoch + 1, position: log.head.position + 1n })
    expect((await collect(again.readAll())).slice(0, -1)).toEqual(events)
    await again.append([write('s-1', [newEvent('Put')])])
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
    await same(address, target)
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
    await same(address, target)
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

/** Kinds of the files whose rows hold a text. */
async function holds(dir: string, { manifest }: BackupReport, text: string): Promise<string[]> {
  const found: string[] = []
  for (const file of manifest.files) {
    for await (const { bytes } of readBackupFile(dir, file, { logId: manifest.log.logId })) {
      if (bytes.includes(text)) found.push(file.kind)
    }
  }
  return found.toSorted()
}

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
    await same(address, target)
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
