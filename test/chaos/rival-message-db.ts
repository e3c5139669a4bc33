import pg from 'pg'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { dataText, digestOf, parseEventData } from './event-data.ts'
import type { LoggedLog } from './history.ts'
import { cutName, readPeerFile } from './peers.ts'
import {
  type Appended,
  type ConsumerSource,
  type CountRequest,
  RefusedError,
  type ServedStore,
} from './served-store.ts'
import type { FramedWrite } from './writer-frames.ts'

// message-db is a set of SQL functions; these are the files its own install script runs, in order.
const files = [
  ...['roles/message-store', 'schema/message-store', 'extensions/pgcrypto', 'tables/messages', 'types/message'],
  ...['message-store-version', 'hash-64', 'acquire-lock', 'category', 'is-category', 'id', 'cardinal-id'].map(
    inFunctions,
  ),
  ...['stream-version', 'write-message', 'get-stream-messages', 'get-category-messages'].map(inFunctions),
  ...['get-last-stream-message'].map(inFunctions),
  ...['indexes/messages-id', 'indexes/messages-stream', 'indexes/messages-category'],
] as const

// Its order is one within a category, so everything is one category.
const category = 'chaos'
const connections = 10
const pageEvents = 1_000
const pollMs = 20

/** Installs message-db where it is not yet and opens it. */
export async function openMessageDb(address: PostgresAddress, peersDirectory: string): Promise<ServedStore> {
  const settings = { max: connections, application_name: cutName, options: '-c search_path=message_store,public' }
  const pool = new pg.Pool({ ...address, ...settings })
  pool.on('error', () => undefined)
  const { rows } = await pool.query<{ there: boolean }>(
    `select to_regclass('message_store.messages') is not null as there`,
  )
  if (rows[0]?.there !== true) {
    for (const file of files)
      await pool.query(readPeerFile(peersDirectory, '@eventide/message-db', `database/${file}.sql`))
  }
  return new MessageDb(pool)
}

class MessageDb implements ServedStore {
  readonly #pool: pg.Pool

  constructor(pool: pg.Pool) {
    this.#pool = pool
  }

  async append(writes: readonly FramedWrite[]): Promise<Appended> {
    const [write] = writes
    if (write === undefined || writes.length > 1) throw new RefusedError('one stream at a time')
    const { stream, expected, events } = write
    if (expected === 'stream_exists') throw new RefusedError('there is no such expectation')
    const before = expected === 'any' ? null : expected === 'no_stream' ? -1n : expected
    try {
      const { rows } = await this.#pool.query<{ revision: string }>(
        `select write_message(id, $1::varchar, type, data::jsonb, null, case when n = 1 then $2::int8 end) as revision
          from unnest($3::varchar[], $4::varchar[], $5::text[]) with ordinality as e (id, type, data, n)`,
        [
          fullName(stream),
          before === null ? null : String(before),
          events.map(({ eventId }) => eventId),
          events.map(({ type }) => type),
          events.map(({ data }) => data),
        ],
      )
      const places = rows.map(({ revision }) => ({ stream, revision: BigInt(revision), position: null }))
      return { commitNo: null, places }
    } catch (error) {
      if (error instanceof pg.DatabaseError && error.message.startsWith('Wrong expected version'))
        throw new RefusedError('Wrong expected version')
      throw error
    }
  }

  async count({ stream, event }: CountRequest): Promise<Appended> {
    const { revision, value } = await this.last(stream)
    const data = dataText({ key: event.key, value: (value ?? 0) + 1 })
    return this.append([{ stream, expected: revision ?? 'no_stream', events: [{ ...event, data }], blobs: [] }])
  }

  async last(stream: string): Promise<{ readonly revision: bigint | null; readonly value: number | null }> {
    const { rows } = await this.#pool.query<{ position: string; data: string }>(
      'select position, data from get_last_stream_message($1::varchar)',
      [fullName(stream)],
    )
    const [row] = rows
    if (row === undefined) return { revision: null, value: null }
    return { revision: BigInt(row.position), value: parseEventData(row.data)?.value ?? null }
  }

  moment(): Promise<never> {
    return Promise.reject(new RefusedError('there are no moments'))
  }

  head(): null {
    return null
  }

  setClock(): void {}

  async close(): Promise<void> {
    await this.#pool.end()
  }
}

/** Follows the category by polling, as its documentation has it. */
export function messageDbSource(address: PostgresAddress): ConsumerSource {
  return async function* deliveries({ from, signal }) {
    await using stack = new AsyncDisposableStack()
    const pool = stack.adopt(
      new pg.Pool({ ...address, max: 1, options: '-c search_path=message_store,public' }),
      (opened) => opened.end(),
    )
    pool.on('error', () => undefined)
    for (let next = from; !signal.aborted; ) {
      const { rows } = await pool.query<{ global_position: string; id: string }>(
        'select id, global_position from get_category_messages($1::varchar, $2::int8, $3::int8)',
        [category, String(next), pageEvents],
      )
      for (const row of rows) yield { kind: 'event', position: BigInt(row.global_position), eventId: row.id }
      const last = rows.at(-1)
      if (last === undefined) await sleep(pollMs)
      else next = BigInt(last.global_position) + 1n
    }
  }
}

/** Reads what message-db has recorded, from its table. */
export async function readMessageDb(client: pg.Client): Promise<LoggedLog> {
  const { rows } = await client.query<{ gp: string; stream: string; rev: string; id: string; data: string }>(
    `select global_position as gp, stream_name as stream, position as rev, id, data::text as data
      from message_store.messages order by global_position`,
  )
  const events = rows.map(({ gp, stream, rev, id, data }) => {
    const parsed = parseEventData(data)
    return {
      position: BigInt(gp),
      stream: stream.slice(category.length + 1),
      revision: BigInt(rev),
      eventId: id,
      key: parsed?.key ?? null,
      value: parsed?.value ?? null,
      digest: digestOf(data),
      blob: null,
      commitNo: 0n,
    }
  })
  return { events, commits: null, blobs: new Set() }
}

function fullName(stream: string): string {
  return `${category}-${stream}`
}

function inFunctions(name: string): string {
  return `functions/${name}`
}
