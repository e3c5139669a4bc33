import type { Batch } from './batch.ts'
import { byteaArray, int4Array, int4Value, int8Array, int8Value, uuidArray, uuidValue } from './binary-values.ts'
import type { CommitStatement } from './commit-participant.ts'

const columns = 'pos, stream_id, revision, type_id, commit_no, event_id, data, meta'

const oneSql = `insert into event (${columns})
  values ($1::int8, $3::int8, $4::int8, $5::int4, $2::int8, $6::uuid, $7::bytea, $8::bytea)`

// Columns as arrays: what is as long in every row is picked by its number, payloads come one after the other.
const manySql = `insert into event (${columns})
  select $1::int8 + n, ($3::int8[])[n + 1], ($4::int8[])[n + 1], ($5::int4[])[n + 1], $2::int8, ($6::uuid[])[n + 1], data, meta
  from (select generate_series(0, $9::int4) as n, unnest($7::bytea[]) as data, unnest($8::bytea[]) as meta) as e`

/** Some of the events of a batch: those from number `from` up to number `to`, this one not included. */
export interface Slice {
  readonly from: number
  readonly to: number
}

/** The statement that writes events of a batch, at least one; their streams and types have numbers. */
export function eventStatement(batch: Batch, { from, to }: Slice): CommitStatement {
  const events = batch.events.slice(from, to)
  const eventStreams = batch.eventStreams.slice(from, to)
  const eventTypes = batch.eventTypes.slice(from, to)
  const places = [int8Value(batch.firstPosition + BigInt(from)), int8Value(batch.commitNo)]
  const [event] = events
  if (event !== undefined && events.length === 1) {
    const names = [
      int8Value(eventStreams[0]?.streamId ?? -1n),
      int8Value(event.revision),
      int4Value(eventTypes[0]?.typeId ?? -1),
    ]
    const values = [...places, ...names, uuidValue(event.eventId), event.data, event.meta]
    return { name: 'log_event', sql: oneSql, values, expectedRows: null }
  }
  const values = [
    ...places,
    int8Array(eventStreams.map(({ streamId }) => streamId)),
    int8Array(events.map(({ revision }) => revision)),
    int4Array(eventTypes.map(({ typeId }) => typeId)),
    uuidArray(events.map(({ eventId }) => eventId)),
    byteaArray(events.map(({ data }) => data)),
    byteaArray(events.map(({ meta }) => meta)),
    int4Value(events.length - 1),
  ]
  return { name: 'log_event', sql: manySql, values, expectedRows: null }
}
