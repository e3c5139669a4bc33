import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { logCommand } from '../../src/cli/log-command.ts'
import { decodeFact } from '../../src/events/catalogue.ts'
import { UnreadableFactError } from '../../src/events/read-fact.ts'
import { InvalidAppendError } from '../../src/eventstore/append-errors.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { ReadModels } from '../../src/readmodel/read-models.ts'
import { allProjections } from '../support/all-projections.ts'
import { runCli } from '../support/cli-run.ts'
import { collect, openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

/** Texts that a column of type jsonb would refuse, or give back as other bytes. */
const texts: Readonly<Record<string, string>> = {
  'an escaped NUL': '{"a":"\\u0000"}',
  'half of an escaped surrogate pair': '{"a":"\\ud800","b":"\\udc00\\ud800"}',
  'an escaped pair': '{"a":"\\ud83d\\ude00"}',
  'keys out of order': '{"b":1,"a":2,"B":3,"10":4,"9":5}',
  'the same key twice': '{"a":1,"a":2}',
  'blanks and line ends': ' {\t"a" :\r\n1 }\n',
  'numbers over 2^53': '{"a":9007199254740993,"b":-18446744073709551616}',
  'numbers that no double holds': '{"a":1e400,"b":-1e-400,"c":0.1000000000000000055511151231257827}',
  'the same number in other digits': '[1.0,1.00,10e-1,-0,0e0]',
  'arrays 1,000 deep': `${'['.repeat(1_000)}${']'.repeat(1_000)}`,
  'characters of four bytes': '{"\u{1F600}":"\u{10FFFF}\u{FEFF}\u2028"}',
  'a byte order mark in front': '\uFEFF{}',
  'control characters': '"\\u0001\\u007f\u0080"',
  'no JSON at all': 'hello',
  'half of an object': '{"a":',
  'a single quote': "{'a':1}; drop table event; --",
  'a number that JSON does not know': '{"a":NaN}',
  nothing: '',
}

/** Bytes that are no UTF-8, by what is wrong with them. */
const notUtf8: Readonly<Record<string, readonly number[]>> = {
  'a byte that never occurs': [0x22, 0xff, 0x22],
  'half of a character': [0x22, 0xe2, 0x82, 0x22],
  'a longer form of /': [0x22, 0xc0, 0xaf, 0x22],
  'half of a surrogate pair': [0x22, 0xed, 0xa0, 0x80, 0x22],
  'a character beyond the last': [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22],
  'a lone continuation': [0x80],
}

let server: ScratchPostgres
let address: PostgresAddress
let log: EventStore
let database: pg.Client
beforeAll(async () => {
  server = await ScratchPostgres.start()
  address = await server.createDatabase()
  log = await openLog(address, { participants: [new ReadModels({ projections: allProjections })] })
  database = new pg.Client(address)
  await database.connect()
}, 60_000)
afterAll(async () => {
  await database.end()
  await log.close()
  await server[Symbol.asyncDispose]()
})

async function append(stream: string, ...events: readonly { data: string | Uint8Array; meta: string | Uint8Array }[]) {
  const made = events.map((event) => ({ eventId: randomUUID(), type: 'NoteTaken', schema: 1, ...event }))
  return await log.append([write(stream, made)])
}

/** Data and meta of a stream as they come back: over the stream, over the whole log, and over the view for people. */
async function readBack(stream: string): Promise<{ readonly [path: string]: readonly Buffer[] }> {
  const ofStream = await collect(log.readStream(stream))
  const first = ofStream[0]?.position ?? 0n
  const ofAll = (await collect(log.readAll({ from: first }))).filter((event) => event.stream === stream)
  const { rows } = await database.query<{ data: string; meta: string }>(
    'select data, meta from log_events where stream = $1 order by position',
    [stream],
  )
  const bytes = (events: readonly { data: Uint8Array | string; meta: Uint8Array | string }[]) =>
    events.flatMap(({ data, meta }) => [Buffer.from(data), Buffer.from(meta)])
  return { ofStream: bytes(ofStream), ofAll: bytes(ofAll), ofView: bytes(rows) }
}

describe('T13: the log keeps bytes, where jsonb would not', () => {
  test.each(Object.entries(texts))('%s comes back byte for byte, as data and as metadata', async (name, text) => {
    const stream = `bytes-${name}`
    await append(stream, { data: text, meta: '{}' }, { data: Buffer.from(text), meta: Buffer.from(text) })
    const bytes = Buffer.from(text)
    const wanted = [bytes, Buffer.from('{}'), bytes, bytes]
    expect(await readBack(stream)).toEqual({ ofStream: wanted, ofAll: wanted, ofView: wanted })
  })

  test('whatever JSON text is appended comes back byte for byte', { timeout: 60_000 }, async () => {
    const blank = fc.constantFrom('', ' ', '\n', '\t', '\r\n  ')
    const escaped = fc.stringMatching(/^(\\u[0-9a-fA-F]{4}|\\["\\/bfnrt]|[a-z ]){0,12}$/)
    const number = fc.stringMatching(/^-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?$/)
    const json = fc.letrec((tie) => ({
      any: fc.oneof({ depthSize: 'small' }, tie('leaf'), tie('list'), tie('object')),
      leaf: fc.oneof(
        number,
        escaped.map((text) => `"${text}"`),
        fc.json(),
        fc.constantFrom('true', 'null'),
      ),
      list: fc
        .array(fc.tuple(blank, tie('any')), { maxLength: 4 })
        .map((items) => `[${items.map((i) => i.join('')).join(',')}]`),
      object: fc
        .array(fc.tuple(blank, fc.oneof(escaped, fc.constant('a')), blank, tie('any')), { maxLength: 4 })
        .map(
          (items) =>
            `{${items.map(([before, key, gap, value]) => `${before}"${key}"${gap}:${String(value)}`).join(',')}}`,
        ),
    })).any
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(json, json), { minLength: 1, maxLength: 8 }), async (pairs) => {
        const stream = `fuzz-${run++}`
        const events = pairs.map(([data, meta]) => ({ data: String(data), meta: String(meta) }))
        await append(stream, ...events)
        const wanted = events.flatMap(({ data, meta }) => [Buffer.from(data), Buffer.from(meta)])
        expect(await readBack(stream)).toEqual({ ofStream: wanted, ofAll: wanted, ofView: wanted })
      }),
      { numRuns: 60 },
    )
  })

  test.each(Object.entries(notUtf8))(
    'bytes with %s are refused by name, and nothing is appended',
    async (_name, bytes) => {
      const before = log.head.position
      const bad = Buffer.from(bytes)
      await expect(append('bad-1', { data: bad, meta: '{}' })).rejects.toThrow(InvalidAppendError)
      await expect(append('bad-1', { data: bad, meta: '{}' })).rejects.toThrow(
        'Cannot append: the data of NoteTaken is not UTF-8',
      )
      await expect(append('bad-1', { data: '{}', meta: bad })).rejects.toThrow('the meta of NoteTaken is not UTF-8')
      expect(log.head.position).toBe(before)
    },
  )

  test('a NUL byte and half of a surrogate pair in a text are refused by name', async () => {
    const nul = 'the data of NoteTaken has a NUL, which JSON text cannot have'
    await expect(append('bad-2', { data: '"\0"', meta: '{}' })).rejects.toThrow(nul)
    await expect(append('bad-2', { data: Buffer.from('"\0"'), meta: '{}' })).rejects.toThrow(nul)
    await expect(append('bad-2', { data: '"\ud800"', meta: '{}' })).rejects.toThrow('half a surrogate pair')
    await expect(append('bad-2', { data: '{}', meta: '"\udc00"' })).rejects.toThrow('the meta of NoteTaken has half')
  })

  test('the view is readable to its end whatever stands in the log, and JSON in it can be asked for its members', async () => {
    const { rows } = await database.query<{ n: string }>('select count(data || meta) as n from log_events')
    expect(BigInt(rows[0]?.n ?? 0)).toBe(log.head.position + 1n)
    await append('asked-1', { data: '{"sizeBytes":"9007199254740993","a":1,"a":2}', meta: '{"reason":"CHG-1"}' })
    const asked = await database.query(
      `select data::json ->> 'sizeBytes' as size, (data::json ->> 'sizeBytes')::int8 + 1 as more, meta::json ->> 'reason' as reason
        from log_events where stream = 'asked-1'`,
    )
    expect(asked.rows).toEqual([{ size: '9007199254740993', more: '9007199254740994', reason: 'CHG-1' }])
  })

  test('an event that is no JSON is shown as its text, and refused by the catalogue with its place', async () => {
    const { lastPosition } = await append('shown-1', { data: 'not json', meta: 'nor this' })
    const place = { database: address.connectionString ?? urlOf(address), socketDir: '/nonexistent' }
    const shown = await runCli(logCommand, place, { args: ['shown-1'] })
    expect(shown.text).toMatch(/unknown\[0\].*NoteTaken +not json/)
    const document: unknown = JSON.parse(
      (await runCli(logCommand, place, { args: ['shown-1'], options: { json: true } })).text,
    )
    expect(document).toMatchObject([{ type: 'NoteTaken', data: 'not json', procedure: 'unknown' }])
    const event = { schema: 1, data: Buffer.from('not json'), stream: 'shown-1', position: lastPosition }
    expect(() => decodeFact('ClockJumped', event)).toThrow(UnreadableFactError)
    expect(() => decodeFact('ClockJumped', event)).toThrow(
      `Cannot read ClockJumped version 1 @${lastPosition} of stream "shown-1": its data is not UTF-8 JSON`,
    )
  })

  test('the root of the tree is the same when the log is opened again', async () => {
    const { root } = log.head
    await log.close()
    log = await openLog(address, {
      fence: () => [
        write('node-test', [{ eventId: randomUUID(), type: 'DaemonStarted', schema: 1, data: '{}', meta: '{}' }]),
      ],
    })
    const { rows } = await database.query<{ root: Buffer }>('select root from commit order by commit_no desc limit 2')
    expect(rows[1]?.root.equals(root)).toBe(true)
  })
})

function urlOf({ host = '', port, user, database: name }: PostgresAddress): string {
  return `postgres://${user}@${encodeURIComponent(host)}:${port}/${name}`
}
