import pg from 'pg'
import * as v from 'valibot'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { dataText, digestOf, parseEventData } from './event-data.ts'
import type { LoggedLog } from './history.ts'
import { cutName, importPeer } from './peers.ts'
import { type Appended, type CountRequest, RefusedError, type ServedStore } from './served-store.ts'
import type { FramedWrite } from './writer-frames.ts'

// Emmett through its documented interface. It names events itself, so ours travel in their data.

const asyncFunction = v.pipe(v.function(), v.returnsAsync(v.unknown()))
const eventStore = v.object({
  appendToStream: asyncFunction,
  consumer: v.function(),
  close: asyncFunction,
  schema: v.object({ migrate: asyncFunction }),
})
const appendResult = v.object({ nextExpectedStreamVersion: v.bigint(), lastEventGlobalPosition: v.bigint() })
const consumer = v.object({ reactor: v.function(), start: asyncFunction, close: asyncFunction })
const message = v.object({
  data: v.object({ eventId: v.string() }),
  metadata: v.object({ globalPosition: v.bigint() }),
})
const storeModule = v.object({ getPostgreSQLEventStore: v.function() })
const coreModule = v.object({
  NO_CONCURRENCY_CHECK: v.unknown(),
  STREAM_DOES_NOT_EXIST: v.unknown(),
  isExpectedVersionConflictError: v.pipe(v.function(), v.returns(v.boolean())),
})

type Store = v.InferOutput<typeof eventStore>

/** Opens Emmett and makes its tables where they are missing. */
export async function openEmmett(address: PostgresAddress, peersDirectory: string): Promise<ServedStore> {
  const core = v.parse(coreModule, await importPeer(peersDirectory, '@event-driven-io/emmett'))
  const store = await makeStore(address, peersDirectory)
  await store.schema.migrate()
  return new Emmett({ store, core, pool: new pg.Pool({ ...address, max: 4 }) })
}

/** Runs a consumer of Emmett's with a checkpoint of its own until it ends; `onEvent` is waited for before the next message. */
export async function consumeEmmett(
  { address, peersDirectory, name }: { address: PostgresAddress; peersDirectory: string; name: string },
  onEvent: (event: { readonly position: bigint; readonly eventId: string }) => Promise<void>,
): Promise<void> {
  const store = await makeStore(address, peersDirectory)
  const made = v.parse(consumer, store.consumer({ pulling: { batchSize: 100, pullingFrequencyInMs: 20 } }))
  made.reactor({
    processorId: name,
    eachMessage: async (delivered: unknown) => {
      const { data, metadata } = v.parse(message, delivered)
      await onEvent({ position: metadata.globalPosition, eventId: data.eventId })
    },
  })
  await made.start()
}

/** Reads what Emmett has recorded, from its table. */
export async function readEmmett(client: pg.Client): Promise<LoggedLog> {
  const { rows } = await client.query<{ gp: string; stream: string; rev: string; data: string; tx: string }>(
    `select global_position as gp, stream_id as stream, stream_position as rev, message_data::text as data, transaction_id::text as tx
      from emt_messages order by global_position`,
  )
  const events = rows.map(({ gp, stream, rev, data, tx }) => {
    const parsed = parseEventData(data)
    return {
      position: BigInt(gp),
      stream,
      revision: BigInt(rev),
      eventId: v.parse(v.object({ eventId: v.string() }), JSON.parse(data)).eventId,
      key: parsed?.key ?? null,
      value: parsed?.value ?? null,
      digest: digestOf(data),
      blob: null,
      commitNo: BigInt(tx),
    }
  })
  return { events, commits: null, blobs: new Set() }
}

interface EmmettParts {
  readonly store: Store
  readonly core: v.InferOutput<typeof coreModule>
  /** For reading a stream's end. */
  readonly pool: pg.Pool
}

class Emmett implements ServedStore {
  readonly #parts: EmmettParts

  constructor(parts: EmmettParts) {
    this.#parts = parts
    parts.pool.on('error', () => undefined)
  }

  async append(writes: readonly FramedWrite[]): Promise<Appended> {
    const { store, core } = this.#parts
    const [write] = writes
    if (write === undefined || writes.length > 1) throw new RefusedError('one stream at a time')
    const { stream, expected, events } = write
    const expectations = { any: core.NO_CONCURRENCY_CHECK, no_stream: core.STREAM_DOES_NOT_EXIST }
    if (expected === 'stream_exists') throw new RefusedError('not asked for')
    const expectedStreamVersion = typeof expected === 'bigint' ? expected : expectations[expected]
    const messages = events.map(({ eventId, type, data }) => {
      const parsed: unknown = JSON.parse(data)
      return { type, data: { ...v.parse(v.looseObject({}), parsed), eventId } }
    })
    try {
      const result = v.parse(appendResult, await store.appendToStream(stream, messages, { expectedStreamVersion }))
      const [last, lastPosition] = [result.nextExpectedStreamVersion, result.lastEventGlobalPosition]
      const places = events.map((_event, at) => {
        const behind = BigInt(events.length - 1 - at)
        return { stream, revision: last - behind, position: behind === 0n ? lastPosition : null }
      })
      return { commitNo: null, places }
    } catch (error) {
      if (core.isExpectedVersionConflictError(error)) throw new RefusedError('ExpectedVersionConflictError')
      throw error
    }
  }

  async count({ stream, event }: CountRequest): Promise<Appended> {
    const { revision, value } = await this.last(stream)
    const data = dataText({ key: event.key, value: (value ?? 0) + 1 })
    return this.append([{ stream, expected: revision ?? 'no_stream', events: [{ ...event, data }], blobs: [] }])
  }

  async last(stream: string): Promise<{ readonly revision: bigint | null; readonly value: number | null }> {
    const { rows } = await this.#parts.pool.query<{ rev: string; data: string }>(
      `select stream_position as rev, message_data::text as data from emt_messages
        where stream_id = $1::text order by stream_position desc limit 1`,
      [stream],
    )
    const [row] = rows
    if (row === undefined) return { revision: null, value: null }
    return { revision: BigInt(row.rev), value: parseEventData(row.data)?.value ?? null }
  }

  moment(): Promise<never> {
    return Promise.reject(new RefusedError('there are no moments'))
  }

  head(): null {
    return null
  }

  setClock(): void {}

  async close(): Promise<void> {
    await this.#parts.store.close()
    await this.#parts.pool.end()
  }
}

async function makeStore({ host, port, user, database }: PostgresAddress, peersDirectory: string): Promise<Store> {
  const { getPostgreSQLEventStore } = v.parse(
    storeModule,
    await importPeer(peersDirectory, '@event-driven-io/emmett-postgresql'),
  )
  const url = `postgresql://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host ?? '')}&application_name=${encodeURIComponent(cutName)}`
  return v.parse(eventStore, getPostgreSQLEventStore(url, { schema: { autoMigration: 'None' } }))
}
