import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DatabaseSource } from '../../src/eventstore/database-source.ts'
import { logOrigin } from '../../src/eventstore/log-origin.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { newSignerKey, type NoteSigner, parseSignerKey } from '../../src/eventstore/signed-note.ts'
import { encodeEdge } from '../../src/eventstore/tree-edge.ts'
import { verifyLog, type VerifyReport } from '../../src/eventstore/verify-log.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

let server: ScratchPostgres
let original: PostgresAddress
let address: PostgresAddress
let signer: NoteSigner

/** A log of 601 events: commits 1 (the fence), 2 to 7 with 100 each; signed at its end. */
async function fill(): Promise<void> {
  await using log = await openLog(address)
  signer = parseSignerKey(newSignerKey(logOrigin(log.log)))
  for (let commit = 0; commit < 6; commit += 1) {
    const writes = Array.from({ length: 100 }, (_, at) =>
      write(`account-${at % 10}`, [newEvent('Put', { commit, at })]),
    )
    await log.append(writes)
  }
  await log.signCheckpoint(signer)
}

beforeAll(async () => {
  server = await ScratchPostgres.start()
  original = await server.createDatabase()
  address = original
  await fill()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
})
let copies = 0
beforeEach(async () => {
  copies += 1
  await server.run('postgres', `create database copy_${copies} template ${original.database ?? ''}`)
  address = server.address(`copy_${copies}`)
})

function notRecorded(position: number, commit: number): string {
  return `event @${position} is not the one that was recorded: one of these columns, the name of its stream or of its type, or time or epoch of commit ${commit} was changed`
}

async function tamper(sql: string): Promise<void> {
  await server.run(address.database ?? '', `set session_replication_role = replica; ${sql}`)
}

async function verify(options: Parameters<typeof verifyLog>[1] = {}): Promise<VerifyReport> {
  await using source = await DatabaseSource.open(address)
  return await verifyLog(source, options)
}

async function findings(): Promise<readonly string[]> {
  return (await verify()).findings.map(({ text }) => text)
}

describe('verifyLog()', () => {
  test('recomputes a log that nobody touched, also beside its writer', async () => {
    await using log = await openLog(address)
    await log.append([write('account-1', [newEvent('Put')])])
    await using source = await DatabaseSource.open(address)
    await log.append([write('account-2', [newEvent('Put')])])
    const seen: bigint[] = []
    const report = await verifyLog(source, { onProgress: (done) => seen.push(done) })
    expect(report).toMatchObject({
      findings: [],
      count: 0,
      events: 603n,
      commits: 10n,
      checkpoints: 1,
      streams: 11,
      from: 0n,
    })
    expect(seen.at(-1)).toBe(603n)
  })

  test.each([
    ['an event that was removed', 'delete from event where pos = 317', 'event @317 is missing'],
    [
      'the last events',
      'delete from event where pos > 590',
      'the events from @591 on are missing; commit 7 says that it ends at @600',
    ],
    ['another text in an event', `update event set data = '{"paid":1000000}' where pos = 42`, notRecorded(42, 2)],
    [
      'an event given to another stream',
      'update event set stream_id = 3, revision = 99 where pos = 42',
      notRecorded(42, 2),
    ],
    [
      'two events swapped',
      `update event set pos = 5000 where pos = 499; update event set pos = 499 where pos = 501;
        update event set pos = 501 where pos = 5000`,
      notRecorded(499, 6),
    ],
    ['a commit that was removed', 'delete from commit where commit_no = 5', 'commit 5 is missing'],
    [
      'a commit with another time',
      'update commit set at_us = at_us + 1000003 where commit_no = 5',
      notRecorded(301, 5),
    ],
    [
      'a commit with another root',
      `update commit set root = sha256('x') where commit_no = 5`,
      'commit 5 has another root than its events give',
    ],
    ['a stream with another name', `update stream set name = 'account-x' where stream_id = 4`, notRecorded(4, 2)],
    [
      'a stream that nobody wrote to',
      `insert into stream values (99, 'account-99', 1, 700)`,
      'stream 99 ("account-99"): it should have number 11, which no row has',
    ],
    ['a tile that was removed', 'delete from tile where n = 1', 'tile 0/1 is missing'],
    [
      'a tile of nowhere',
      `insert into tile select 3, 0, 256, hashes, root from tile where n = 1`,
      'tile 3/0 is not one of this tree',
    ],
    [
      'an event type that nothing has',
      `insert into event_type values (2, 'Never', 1)`,
      'event type 2 ("Never" 1) has no event',
    ],
    ['a checkpoint of nothing', 'update signed_checkpoint set size = 300', 'checkpoint 300 was signed over 601 events'],
    ['no log row', 'delete from log', 'the log has no row of its own'],
    [
      'a skip block that is missing',
      'delete from type_block where type_id = 1',
      'type_block 1/0 is missing: a filtered read would leave events out',
    ],
    [
      'a skip block too many',
      'insert into category_block values (0, 7)',
      'category_block 0/7 says that a block of events holds what it does not',
    ],
  ])('finds %s', async (_what, sql, expected) => {
    await tamper(sql)
    expect((await findings())[0]).toBe(expected)
  })

  test('finds a tail that was rewritten with all its hashes, by the checkpoint that was signed before', async () => {
    const rewritten = await server.createDatabase()
    {
      await using log = await openLog(rewritten)
      for (let commit = 0; commit < 6; commit += 1) {
        const writes = Array.from({ length: 100 }, (_, at) =>
          write(`account-${at % 10}`, [newEvent('Put', { commit, at: -at })]),
        )
        await log.append(writes)
      }
      await log.signCheckpoint(parseSignerKey(newSignerKey(logOrigin(log.log))))
    }
    // Everything of the other log, under the name and the checkpoint of this one.
    const { rows } = await server.run(
      address.database ?? '',
      'select l.*, s.note, k.verifier_key from log l, signed_checkpoint s, log_key k',
    )
    const [own] = rows
    address = rewritten
    await tamper(`update log set log_id = '${String(own?.log_id)}', created_at_us = ${String(own?.created_at_us)};
      update commit set at_us = ${String(own?.created_at_us)} where commit_no = 0;
      update signed_checkpoint set note = '${String(own?.note)}'; update log_key set verifier_key = '${String(own?.verifier_key)}'`)
    expect(await findings()).toContain(
      'the first 601 events do not give the root of the checkpoint that was signed over them',
    )
  })

  test('trusts no key but the given ones', async () => {
    const forger = parseSignerKey(newSignerKey(signer.verifier.name))
    expect((await verify({ trusted: [signer.verifier] })).count).toBe(0)
    const { findings: found } = await verify({ trusted: [forger.verifier] })
    expect(found[0]).toMatchObject({ table: 'signed_checkpoint', key: '601', columns: ['note'] })
  })

  test('compares the edges of the tree that earlier versions stored', async () => {
    await using log = await openLog(address)
    const { rows } = await server.run(address.database ?? '', 'select last_pos from commit where commit_no = 4')
    expect(rows).toEqual([{ last_pos: '300' }])
    await log.close()
    const edge = await edgeAt(301)
    await tamper(`insert into tree_edge values (301, '\\x${Buffer.from(edge).toString('hex')}')`)
    expect(await findings()).toEqual([])
    await tamper(`update tree_edge set hashes = set_bit(hashes, 9, 1 - get_bit(hashes, 9))`)
    expect(await findings()).toEqual(['the tree edge at size 301 is not that of the events'])
    await tamper('update tree_edge set size = 302')
    expect(await findings()).toEqual(['the tree edge at size 302 is not that of the events'])
  })
})

/** The edge of the tree over the first events, as versions before tiles stored it. */
async function edgeAt(size: number): Promise<Uint8Array> {
  const { appendLeaves, emptyTree } = await import('../../src/eventstore/tree-edge.ts')
  const { rows } = await server.run(
    address.database ?? '',
    'select hashes from tile where level = 0 order by n, width desc',
  )
  const leaves = Buffer.concat(rows.map(({ hashes }) => Buffer.from(hashes)))
  const list = Array.from({ length: size }, (_, at) => leaves.subarray(at * 32, at * 32 + 32))
  return encodeEdge(appendLeaves(emptyTree, list))
}

describe('DatabaseSource', () => {
  test('reads a log of an earlier version, which has no tiles, checkpoints and skip blocks', async () => {
    await tamper('drop table tile, signed_checkpoint, log_key, type_block, category_block')
    expect(await verify()).toMatchObject({ findings: [], checkpoints: 0, events: 601n })
    await tamper(`update event set event_id = '00000000-0000-4000-8000-000000000000' where pos = 42`)
    expect((await findings())[0]).toBe(
      'the events of commit 2 (@1 to @100) do not give its root: one of them was changed, or the root',
    )
  })
})

describe('openEventStore()', () => {
  test('makes the tiles of a log that was written without them, and goes on from where it was interrupted', async () => {
    const tiles = async () => {
      const { rows } = await server.run(
        address.database ?? '',
        'select level, n, root from tile where width = 256 order by level, n',
      )
      return rows.map(({ level, n, root }) => `${String(level)}/${String(n)} ${Buffer.from(root).toString('hex')}`)
    }
    const before = await tiles()
    expect(before).toHaveLength(2)
    for (const sql of ['delete from tile', 'delete from tile where n = 1']) {
      await tamper(`${sql}; delete from signed_checkpoint; delete from tile where width < 256`)
      const told: bigint[] = []
      {
        await using log = await openLog(address, { onTreeProgress: ({ target }) => told.push(target) })
        expect(log.head.position).toBeGreaterThan(600n)
      }
      expect(told).toEqual([512n])
      expect(await tiles()).toEqual(before)
      expect(await findings()).toEqual([])
    }
  })

  test('refuses to go on from events that do not give the root of the last commit', async () => {
    await tamper(`update event set data = '{}' where pos = 600`)
    await expect(openLog(address)).rejects.toThrow('`chronovisor verify` says where they differ')
  })
})
