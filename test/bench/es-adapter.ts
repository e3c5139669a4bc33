import { randomUUID } from 'node:crypto'
import { WrongExpectedRevisionError } from '../../src/eventstore/append-errors.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { ExpectedRevision, NewEvent, RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { projection } from '../../src/readmodel/projection.ts'
import { ReadModels } from '../../src/readmodel/read-models.ts'
import { table, upsert } from '../../src/readmodel/table.ts'
import { openLog } from '../support/log-kit.ts'

/** An event as the kit gives it. */
interface KitEvent {
  readonly type: string
  readonly data: object
}

interface LastRow {
  readonly stream: string
  readonly number: bigint
  readonly bytes: number
}

const lastTable = table<LastRow>()('last_event', ['stream'])
const lastSql = `create table last_event (stream text not null, number bigint not null, bytes integer not null,
  like temporal_row including comments)`
const ownType = 'DaemonStarted'

/** A live read model of one row a stream, which every event changes. */
export function lastEventModels(): ReadModels {
  const last = projection<{ readonly type: 'Measured'; readonly bytes: number }>()({
    name: 'last_event',
    version: 1,
    live: true,
    tables: { last: lastTable },
    on: {
      Measured: ({ bytes }, _rows, { stream, revision }) => [upsert(lastTable, { stream, number: revision, bytes })],
    },
  })
  const decode = (event: RecordedEvent) => ({ type: event.type, bytes: event.data.length })
  return new ReadModels({ projections: [last], decode, sqlOf: () => Promise.resolve(lastSql) })
}

/** Our store as the event-store kit drives it (the interface is described in the kit); `live`: each event also changes a live row. */
export function esAdapter({ live }: { readonly live: boolean }) {
  let store: EventStore | null = null
  const opened = (): EventStore => {
    if (store === null) throw new Error('Cannot use the store: it is not set up')
    return store
  }
  return {
    name: live ? 'chronovisor-live' : 'chronovisor',
    version: 'checkout',
    can: { single: true, exact: true, batchMany: true, batchOne: true, read: true, streamRead: true },
    extraPids: [],
    async setup(connectionString: string): Promise<void> {
      store = await openLog({ connectionString }, { participants: live ? [lastEventModels()] : [] })
    },
    async append(what: {
      readonly stream: string
      readonly expectedRevision: ExpectedRevision
      readonly events: readonly KitEvent[]
    }): Promise<bigint> {
      const { stream, expectedRevision, events } = what
      const result = await opened().append([{ stream, expectedRevision, events: events.map(newEvent) }])
      return result.events.at(-1)?.revision ?? -1n
    },
    async appendBatch(items: readonly { readonly stream: string; readonly events: readonly KitEvent[] }[]) {
      await opened().append(
        items.map(({ stream, events }) => ({ stream, expectedRevision: 'any', events: events.map(newEvent) })),
      )
    },
    async readStream(stream: string, after: bigint | 'no_stream') {
      const events: unknown[] = []
      let revision = after
      for await (const event of opened().readStream(stream, { from: after === 'no_stream' ? 0n : after + 1n })) {
        events.push(dataOf(event))
        revision = event.revision
      }
      return { revision, events }
    },
    isConflict: (error: unknown): boolean => error instanceof WrongExpectedRevisionError,
    subscribe: (onEvent: (event: { readonly type: string; readonly data: unknown }) => void) =>
      Promise.resolve(follow(opened(), onEvent)),
    async teardown(): Promise<void> {
      await store?.close()
    },
  }
}

function follow(store: EventStore, onEvent: (event: { readonly type: string; readonly data: unknown }) => void) {
  const stop = new AbortController()
  const followed = (async () => {
    for await (const delivery of store.subscribe({ signal: stop.signal })) {
      if (delivery.kind !== 'event' || delivery.event.type === ownType) continue
      onEvent({ type: delivery.event.type, data: dataOf(delivery.event) })
    }
  })().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error
  })
  return {
    stop: async (): Promise<void> => {
      stop.abort()
      await followed
    },
  }
}

function newEvent({ type, data }: KitEvent): NewEvent {
  return { eventId: randomUUID(), type, schema: 1, data: JSON.stringify(data), meta: '{}' }
}

function dataOf({ data }: RecordedEvent): unknown {
  return JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.length).toString())
}
