import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../src/eventstore/checkpoint.ts'
import { CheckpointKeeper } from '../../src/eventstore/checkpoint-keeper.ts'
import { DatabaseSource } from '../../src/eventstore/database-source.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { logOrigin } from '../../src/eventstore/log-origin.ts'
import { newSignerKey, type NoteSigner, parseSignerKey } from '../../src/eventstore/signed-note.ts'
import { openSigningKey } from '../../src/eventstore/signing-key.ts'
import { verifyLog } from '../../src/eventstore/verify-log.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

let server: ScratchPostgres
let directory: string

beforeAll(async () => {
  server = await ScratchPostgres.start()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
})
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'checkpoints-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true })
})

function signerOf(log: EventStore): NoteSigner {
  return parseSignerKey(newSignerKey(logOrigin(log.log)))
}

async function appendSome(log: EventStore, count: number): Promise<void> {
  await log.append([
    write(
      'a',
      Array.from({ length: count }, (_, n) => newEvent('Put', { n })),
    ),
  ])
}

describe('EventStore.signCheckpoint()', () => {
  test('signs the head, stores the note with its key and the unfinished tile, once a size', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    const signer = signerOf(log)
    await appendSome(log, 300)
    const note = await log.signCheckpoint(signer)
    expect(openCheckpoint(note, [signer.verifier])).toMatchObject({
      origin: logOrigin(log.log),
      size: 301n,
      root: Buffer.from(log.head.root),
    })
    expect(await log.signCheckpoint(signer)).toBe(note)
    const { rows } = await server.run(
      address.database ?? '',
      `select (select count(*)::int from signed_checkpoint) as notes, (select verifier_key from log_key) as key,
        (select json_agg(json_build_array(level, n, width) order by level, n) from tile) as tiles`,
    )
    expect(rows).toEqual([
      {
        notes: 1,
        key: signer.verifier.key,
        tiles: [
          [0, 0, 256],
          [0, 1, 45],
        ],
      },
    ])
    await using source = await DatabaseSource.open(address)
    expect(await verifyLog(source)).toMatchObject({ findings: [], checkpoints: 1, notes: [] })
  })

  test('refuses a key of another log, and a log that does not continue what was signed', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    const signer = signerOf(log)
    const other = parseSignerKey(newSignerKey('elsewhere'))
    await expect(log.signCheckpoint(other)).rejects.toThrow('the signing key is that of "elsewhere"')
    await appendSome(log, 3)
    await log.signCheckpoint(signer)
    const change = (sql: string) => server.run(address.database ?? '', `set session_replication_role = replica; ${sql}`)
    await change(`update commit set root = sha256('x') where commit_no = 2`)
    await appendSome(log, 3)
    await expect(log.signCheckpoint(signer)).rejects.toThrow('are not those that were signed before')
    await change('update signed_checkpoint set size = 99')
    await expect(log.signCheckpoint(signer)).rejects.toThrow('it has 7 events, a checkpoint was signed over 99')
  })

  test('refuses to change what was signed', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    await log.signCheckpoint(signerOf(log))
    for (const sql of ['update signed_checkpoint set size = 0', 'delete from tile', 'truncate log_key']) {
      await expect(server.run(address.database ?? '', sql)).rejects.toThrow('the log is append-only')
    }
  })
})

describe('openSigningKey()', () => {
  test('makes a key that only its owner can read, and reads it again', async () => {
    const path = join(directory, 'key')
    const made = openSigningKey(path, 'log.example')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(openSigningKey(path, 'log.example').verifier.key).toBe(made.verifier.key)
    expect(() => openSigningKey(path, 'another.example')).toThrow('it is that of the log "log.example"')
    await writeFile(path, 'PRIVATE+KEY+log.example+00000000+AAAA')
    expect(() => openSigningKey(path, 'log.example')).toThrow('Cannot use the signing key')
  })
})

describe('CheckpointKeeper', () => {
  async function keep(log: EventStore, signer: NoteSigner, everyEvents = 10) {
    const problems: string[] = []
    const keeper = await CheckpointKeeper.start({
      store: log,
      signer,
      anchorPath: join(directory, 'checkpoint'),
      everyEvents,
      everyMs: 3_600_000,
      onProblem: (error) => problems.push(error.message),
    })
    return { keeper, problems }
  }
  const sizes = async (database: string) =>
    (await server.run(database, 'select size::int from signed_checkpoint order by size')).rows.map(({ size }) =>
      Number(size),
    )

  test('signs at once, after so many events, and at the end; keeps the newest beside the database', async () => {
    const address = await server.createDatabase()
    await using log = await openLog(address)
    const signer = signerOf(log)
    const { keeper, problems } = await keep(log, signer)
    await appendSome(log, 5)
    await appendSome(log, 5)
    await keeper.sign()
    await appendSome(log, 2)
    await keeper[Symbol.asyncDispose]()
    expect(problems).toEqual([])
    expect(await sizes(address.database ?? '')).toEqual([1, 11, 13])
    const anchor = openCheckpoint(await readFile(join(directory, 'checkpoint'), 'utf8'), [signer.verifier])
    expect(anchor.size).toBe(13n)
  })

  test('signs nothing in a database that does not continue what was signed', async () => {
    const [old, other] = [await server.createDatabase(), await server.createDatabase()]
    let signer: NoteSigner
    {
      await using log = await openLog(old)
      signer = signerOf(log)
      await appendSome(log, 20)
      const { keeper } = await keep(log, signer)
      await keeper[Symbol.asyncDispose]()
    }
    // The same log as it was before: same row of its own, fewer events.
    await server.run(other.database ?? '', 'select 1')
    {
      await using log = await openLog(other)
      void log
    }
    const { rows } = await server.run(old.database ?? '', 'select log_id, created_at_us from log')
    await server.run(
      other.database ?? '',
      `update log set log_id = '${String(rows[0]?.log_id)}', created_at_us = ${String(rows[0]?.created_at_us)}`,
    )
    await using log = await openLog(other)
    const { keeper, problems } = await keep(log, signer)
    await expect(keeper.sign()).rejects.toThrow('an older database was put in its place')
    await appendSome(log, 40)
    await expect(keeper.sign()).rejects.toThrow('are not those of the database')
    await keeper[Symbol.asyncDispose]()
    expect(problems.length).toBeGreaterThan(0)
    expect(await sizes(other.database ?? '')).toEqual([])
  })
})
