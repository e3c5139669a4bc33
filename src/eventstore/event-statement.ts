import { byteaArray, int4Array, int4Value, int8Array, int8Value, uuidArray, uuidValue } from './binary-values.ts'
import type { CommitStatement } from './commit-participant.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** The numbers that stand for the names of an event in its row. */
export interface EventNumbers {
  streamIdOf(event: RecordedEvent): bigint
  typeIdOf(event: RecordedEvent): number
}

const columns = 'pos, stream_id, revision, type_id, commit_no, event_id, data, meta'

const oneSql = `insert into event (${columns})
  values ($1::int8, $3::int8, $4::int8, $5::int4, $2::int8, $6::uuid, $7::bytea, $8::bytea)`

// Columns as arrays: what is as long in every row is picked by its number, payloads come one after the other.
const manySql = `insert into event (${columns})
  select $1::int8 + n, ($3::int8[])[n + 1], ($4::int8[])[n + 1], ($5::int4[])[n + 1], $2::int8, ($6::uuid[])[n + 1], data, meta
  from (select generate_series(0, $9::int4) as n, unnest($7::bytea[]) as data, unnest($8::bytea[]) as meta) as e`

/** The statement that writes the events of a commit, at least one. */
export function eventStatement(events: readonly RecordedEvent[], numbers: EventNumbers): CommitStatement {
  const [first] = events
  if (first === undefined) throw new Error('Cannot commit a batch without events')
  return events.length === 1 ? oneEvent(first, numbers) : manyEvents(first, { events, numbers })
}

function oneEvent(event: RecordedEvent, numbers: EventNumbers): CommitStatement {
  const values = [
    int8Value(event.position),
    int8Value(event.commitNo),
    int8Value(numbers.streamIdOf(event)),
    int8Value(event.revision),
    int4Value(numbers.typeIdOf(event)),
    uuidValue(event.eventId),
    event.data,
    event.meta,
  ]
  return { name: 'log_event', sql: oneSql, values, expectedRows: null }
}

function manyEvents(
  first: RecordedEvent,
  { events, numbers }: { readonly events: readonly RecordedEvent[]; readonly numbers: EventNumbers },
): CommitStatement {
  const values = [
    int8Value(first.position),
    int8Value(first.commitNo),
    int8Array(events.map((event) => numbers.streamIdOf(event))),
    int8Array(events.map((event) => event.revision)),
    int4Array(events.map((event) => numbers.typeIdOf(event))),
    uuidArray(events.map((event) => event.eventId)),
    byteaArray(events.map((event) => event.data)),
    byteaArray(events.map((event) => event.meta)),
    int4Value(events.length - 1),
  ]
  return { name: 'log_event', sql: manySql, values, expectedRows: null }
}
