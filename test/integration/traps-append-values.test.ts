import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { checkAppend } from '../../src/eventstore/append-request.ts'
import { Batch } from '../../src/eventstore/batch.ts'
import {
  byteaArray,
  int4Array,
  int8Array,
  int8Value,
  textArray,
  uuidArray,
} from '../../src/eventstore/binary-values.ts'
import { blobOf } from '../../src/eventstore/blob-of.ts'
import type { CommitStatement } from '../../src/eventstore/commit-participant.ts'
import { CommitPlan } from '../../src/eventstore/commit-plan.ts'
import { defaultLimits } from '../../src/eventstore/event-store-options.ts'
import { LogNames } from '../../src/eventstore/log-names.ts'
import { LogReads } from '../../src/eventstore/log-reads.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { clientConfig, writerConfig } from '../../src/eventstore/postgres-client.ts'
import { PreparedStatements, sendStatements } from '../../src/eventstore/send-statements.ts'
import { StateMemos } from '../../src/eventstore/state-memos.ts'
import { emptyFront } from '../../src/eventstore/tree-front.ts'
import { projection } from '../../src/readmodel/projection.ts'
import { createTables } from '../../src/readmodel/projection-tables.ts'
import { RowHistory } from '../../src/readmodel/row-history.ts'
import { RowOverlay } from '../../src/readmodel/row-overlay.ts'
import { rowWrites } from '../../src/readmodel/row-writes.ts'
import { readColumns } from '../../src/readmodel/table-columns.ts'
import { table, upsert } from '../../src/readmodel/table.ts'
import { uuidV7 } from '../../src/util/uuid-v7.ts'
import { moved, opened } from '../support/account-events.ts'
import { accountModels } from '../support/account-projection.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { projectFiles, readProjectFile } from '../support/project-files.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

async function connect(address: PostgresAddress): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(address, 'trap'))
  await client.connect()
  return client
}

describe('T7: ON CONFLICT DO NOTHING', () => {
  test('is in no statement that writes what the log cannot do without', async () => {
    const { statements } = await fullPlan()
    const tables = statements.map(({ sql }) => /insert into (\w+)/.exec(sql)?.[1])
    expect(tables).toEqual(expect.arrayContaining(['commit', 'event', 'stream', 'event_type', 'category', 'request']))
    const lenient = statements.filter(({ sql }) => /on conflict/i.test(sql)).map(({ name }) => name)
    // Big texts are named by their content, skip blocks say only that something is there.
    expect(lenient).toEqual(['log_type_block', 'log_category_block', 'log_blob'])
  })
})

describe('T14: numbers over 2^53', () => {
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })

  test('reach the database and come back exactly, over all 64 bits', async () => {
    const client = await connect(await server.createDatabase())
    const text = `select array_agg(a)::text as many, $2::int8::text as one from unnest($1::int8[]) as a`
    await fc.assert(
      fc.asyncProperty(fc.array(int64, { minLength: 1, maxLength: 50 }), async (numbers) => {
        const { rows } = await client.query<{ many: string; one: string }>(text, [
          int8Array(numbers),
          int8Value(numbers[0] ?? 0n),
        ])
        expect(rows).toEqual([{ many: `{${numbers.join(',')}}`, one: String(numbers[0]) }])
        const back = await client.query<{ number: bigint }>('select unnest($1::int8[]) as number', [int8Array(numbers)])
        expect(back.rows.map(({ number }) => number)).toEqual(numbers)
      }),
      { numRuns: 50 },
    )
    await client.end()
  })

  test('are exact in the plan of a commit far along', async () => {
    const position = 2n ** 53n + 1n
    const { statements, head } = await fullPlan({ position, commitNo: position, revision: 2n ** 62n })
    expect(head.commitNo).toBe(position + 1n)
    expect(head.position).toBeGreaterThan(position)
    const commit = statements.find(({ name }) => name === 'log_commit')
    const numbers = (commit?.values ?? []).map((value) =>
      value instanceof Buffer && value.length === 8 ? value.readBigInt64BE() : null,
    )
    expect(numbers.slice(0, 4)).toEqual([position + 1n, position, position, head.position])
  })

  test('are no trouble for other values in binary form either', async () => {
    const client = await connect(await server.createDatabase())
    const clean = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0') && text.isWellFormed())
    const row = fc.record({ number: fc.integer(), id: fc.uuid(), bytes: fc.uint8Array({ maxLength: 40 }), text: clean })
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 20 }), async (rows) => {
        const found = await client.query<{ number: number; id: string; bytes: Buffer; text: string }>(
          'select * from unnest($1::int4[], $2::uuid[], $3::bytea[], $4::text[]) as r (number, id, bytes, text)',
          [
            int4Array(rows.map(({ number }) => number)),
            uuidArray(rows.map(({ id }) => id)),
            byteaArray(rows.map(({ bytes }) => bytes)),
            textArray(rows.map(({ text }) => text)),
          ],
        )
        expect(found.rows.map((each) => ({ ...each, bytes: new Uint8Array(each.bytes) }))).toEqual(
          rows.map((each) => ({ ...each, bytes: new Uint8Array(each.bytes) })),
        )
      }),
      { numRuns: 50 },
    )
    await client.end()
  })
})

describe('T27: a plan made while a table was empty', () => {
  const tiny = table<{ readonly id: bigint; readonly n: bigint }>()('tiny', ['id'])
  const owner = projection()({ name: 'tiny', version: 1, live: true, tables: { tiny }, on: {} })
  const sql = 'create table tiny (id bigint not null, n bigint not null, like temporal_row including comments)'

  test('goes by key when it is full: a version gives way to the next without a look at the others', async () => {
    const address = await server.createDatabase()
    await (await openLog(address)).close()
    const client = new pg.Client(writerConfig(address))
    await client.connect()
    await client.query('begin')
    await createTables(client, owner, { schema: 'public', sql })
    await client.query('commit')
    const columns = (await readColumns(client, { schema: 'public', tables: [tiny] })).get(tiny)
    if (columns === undefined) throw new Error('The table was not read')
    const [replace] = rowWrites(changedRow(), { columns, schema: 'public' })
    if (replace === undefined) throw new Error('There is nothing to replace')
    const prepared = new PreparedStatements()
    const none = [...replace.values.slice(0, -1), int8Value(0n)]
    await sendStatements(client, [{ ...replace, values: none }], prepared)
    const fill =
      'insert into tiny (id, n, from_position, valid_from) select n, 0, n, now() from generate_series(1, 20000) as n'
    await server.run(address.database ?? '', fill)
    await sendStatements(client, [replace], prepared)
    await client.end() // then it tells what it has read
    const { rows } = await server.run(
      address.database ?? '',
      `select n_tup_upd::int4 as replaced, (seq_tup_read + idx_tup_fetch)::int4 as read from pg_stat_user_tables where relname = 'tiny'`,
    )
    expect(rows).toEqual([{ replaced: 1, read: expect.toSatisfy((read: number) => read < 10) }])
  })

  /** A row that was there at position 7 and is changed at position 9. */
  function changedRow(): RowHistory {
    const history = new RowHistory(new RowOverlay(tiny))
    history.apply(upsert(tiny, { id: 7n, n: 0n }), { at: { position: 7n, timeUs: 7n }, journal: [] })
    history.overlay.commit()
    history.clear()
    history.apply(upsert(tiny, { id: 7n, n: 1n }), { at: { position: 9n, timeUs: 9n }, journal: [] })
    return history
  }
})

describe('T28: a parameter without a type', () => {
  test('is in no statement', async () => {
    const { statements } = await fullPlan()
    const bare = /\$\d+(?!\d|::)/
    expect(statements.filter(({ sql }) => bare.test(sql)).map(({ name }) => name)).toEqual([])
    const used = statements.map(({ sql, values }) => [new Set(sql.match(/\$\d+/g)).size, values.length])
    expect(used.filter(([named, given]) => named !== given)).toEqual([])
    const sources = projectFiles().filter((file) => /^src\/(eventstore|readmodel)\/.*\.ts$/.test(file))
    const sqlWord = /\b(select|insert|update|delete|where|values)\b/i
    const literal = /(['"`])(?:(?!\1)[^\\]|\\.)*\$\d(?:(?!\1)[^\\]|\\.)*\1/g
    const texts = sources.flatMap((file) =>
      (
        readProjectFile(file)
          .replaceAll(/\/\*.*?\*\/|\/\/.*$/gms, '')
          .match(literal) ?? []
      )
        .filter((text) => sqlWord.test(text))
        .map((text) => ({ file, text })),
    )
    expect(texts.length).toBeGreaterThan(20)
    expect(texts.filter(({ text }) => bare.test(text))).toEqual([])
  })

  test('is not missed by the server: a commit with rows of every kind', async () => {
    await using log = await openLog(await server.createDatabase(), { participants: [accountModels()] })
    await log.append([write('account-a', [opened()])])
    const texts = [blobOf('one'), blobOf('two')]
    const writes = [
      write('account-a', [moved(1n)]),
      write('other-a', [newEvent('Seen'), newEvent('Seen', {}, { schema: 2 })], { blobs: texts }),
      write(
        'a',
        Array.from({ length: 300 }, () => newEvent('Put')),
      ),
    ]
    const { events } = await log.append(writes, { requestId: uuidV7() })
    expect(events).toHaveLength(303)
  })
})

/** The plan of a commit that has rows of every kind. */
async function fullPlan({ position = 4_000n, commitNo = 7n, revision = 3n } = {}): Promise<{
  readonly statements: readonly CommitStatement[]
  readonly head: { readonly commitNo: bigint; readonly position: bigint }
}> {
  const address = await server.createDatabase()
  await (await openLog(address)).close()
  const pool = new pg.Pool(clientConfig(address, 'plan'))
  const names = new LogNames(pool, defaultLimits)
  await names.open()
  names.setHead('known-a', { streamId: 3n, categoryId: 0, revision })
  const memos = new StateMemos(new LogReads(pool), defaultLimits)
  const before = { commitNo, position, recordedAtUs: 5n, epoch: 1, root: Buffer.alloc(32) }
  const batch = new Batch(before, { names, memos, recordedAtUs: 6n, epoch: 1 })
  const many = Array.from({ length: 300 }, () => newEvent('Put', {}, { eventId: randomUUID() }))
  const writes = [write('known-a', [newEvent('Put')]), write('new-a', many, { blobs: [blobOf('text')] })]
  const append = checkAppend(writes, defaultLimits, uuidV7())
  await batch.loadNames([append])
  batch.take(batch.number(append), append)
  await pool.end()
  const plan = new CommitPlan(batch, { before, tree: emptyFront })
  const parts = plan.parts(() => [])
  const statements: CommitStatement[] = []
  for (let isOver = false; !isOver; ) {
    const { value, done } = parts.next()
    statements.push(...value)
    isOver = done === true
  }
  return { statements, head: plan.head }
}
