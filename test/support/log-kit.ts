import { randomUUID } from 'node:crypto'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { type EventStoreOptions, openEventStore } from '../../src/eventstore/open-event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import type { NewEvent, RecordedEvent, StreamWrite } from '../../src/eventstore/recorded-event.ts'

/** The host of every log in tests. */
export const testHostId = '0b0e5c1e-0000-4000-8000-000000000001'

/** A fact as tests append them. */
export function newEvent(type: string, data: object = {}, values: Partial<NewEvent> = {}): NewEvent {
  const text = JSON.stringify(data, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
  return { eventId: randomUUID(), type, schema: 1, data: text, meta: '{}', ...values }
}

/** One write of some events, any revision unless told. */
export function write(stream: string, events: readonly NewEvent[], values: Partial<StreamWrite> = {}): StreamWrite {
  return { stream, expectedRevision: 'any', events, ...values }
}

/** Opens a log as its writer; `DaemonStarted` is its fence. */
export function openLog(address: PostgresAddress, options: Partial<EventStoreOptions> = {}): Promise<EventStore> {
  return openEventStore({
    address,
    hostId: testHostId,
    holder: { pid: process.pid, startedAtUs: 1_700_000_000_000_000n, host: 'testhost' },
    fence: () => [write('node-test', [newEvent('DaemonStarted')])],
    ...options,
  })
}

/** All events of an iteration. */
export function collect(events: AsyncIterable<RecordedEvent>): Promise<RecordedEvent[]> {
  return Array.fromAsync(events)
}

/** The JSON in an event's data. */
export function dataOf(event: RecordedEvent): unknown {
  return JSON.parse(Buffer.from(event.data).toString())
}
