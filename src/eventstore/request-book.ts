import type pg from 'pg'
import { InvalidAppendError, RequestMismatchError, RequestWindowError } from './append-errors.ts'
import type { CheckedAppend } from './append-request.ts'
import { int8Array, uuidArray } from './binary-values.ts'
import type { CommitStatement } from './commit-participant.ts'
import type { EventStoreLimits } from './event-store-options.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** Where the events of a request are: one after the other. */
export interface RequestRow {
  readonly firstPosition: bigint
  readonly lastPosition: bigint
}

/** Events of the requests of one commit. */
type Requests = ReadonlyMap<string, readonly RecordedEvent[]>

/**
 * Which appends with an id of their own the log has taken. The ids begin with their time, so the book knows without looking that one later
 * than all it does not hold in memory is new: an append that is not repeated costs no read.
 */
export class RequestBook {
  readonly #pool: pg.Pool
  readonly #limit: number
  readonly #recent = new Map<string, RequestRow>()
  /** No id after this one is in the table, unless it is in memory. */
  #ceiling = ''

  constructor(pool: pg.Pool, { cachedRequests }: Pick<EventStoreLimits, 'cachedRequests'>) {
    this.#pool = pool
    this.#limit = cachedRequests
  }

  /** Forgets everything and looks how far the table goes. */
  async open(): Promise<void> {
    this.#recent.clear()
    const text = 'select request_id from request order by request_id desc limit 1'
    const { rows } = await this.#pool.query<{ request_id: string }>(text)
    this.#ceiling = rows[0]?.request_id ?? ''
  }

  /** What the book knows of a request: its events, null where it was never recorded, undefined where it has to be looked up. */
  find(requestId: string): RequestRow | null | undefined {
    return this.#recent.get(requestId) ?? (requestId > this.#ceiling ? null : undefined)
  }

  /** Looks a request up in the table. */
  async load(requestId: string): Promise<RequestRow | null> {
    const text = `select first_pos as "firstPosition", last_pos as "lastPosition" from request where request_id = $1::uuid`
    const { rows } = await this.#pool.query<RequestRow>({ name: 'request', text, values: [requestId] })
    return rows[0] ?? null
  }

  /** Takes in what a commit has recorded. */
  committed(requests: Requests): void {
    for (const [id, events] of requests) this.#recent.set(id, rowOf(events))
    for (const id of this.#recent.keys()) {
      if (this.#recent.size <= this.#limit) return
      this.#recent.delete(id)
      if (id > this.#ceiling) this.#ceiling = id
    }
  }
}

/** The statement that records requests; null where there are none. */
export function requestStatement(requests: Requests): CommitStatement | null {
  if (requests.size === 0) return null
  const rows = [...requests.values()].map(rowOf)
  return {
    name: 'log_request',
    sql: 'insert into request (request_id, first_pos, last_pos) select * from unnest($1::uuid[], $2::int8[], $3::int8[])',
    values: [
      uuidArray([...requests.keys()]),
      int8Array(rows.map(({ firstPosition }) => firstPosition)),
      int8Array(rows.map(({ lastPosition }) => lastPosition)),
    ],
    expectedRows: null,
  }
}

const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** Refuses an id that is not a UUIDv7 in lower case, or whose time lies outside the window in which requests are remembered. */
export function checkRequestId(
  requestId: string,
  { nowUs, limits }: { readonly nowUs: bigint; readonly limits: EventStoreLimits },
): void {
  if (!uuidV7.test(requestId)) {
    throw new InvalidAppendError(
      `Cannot append: the request has the id "${requestId}", it must be a UUID of version 7 in lower case`,
    )
  }
  const ageMs = Number(nowUs / 1_000n) - requestTimeMs(requestId)
  const { requestWindowMs, requestAheadMs } = limits
  if (ageMs > requestWindowMs)
    throw new RequestWindowError(requestId, `is ${ageMs} ms old, the oldest may be ${requestWindowMs} ms`)
  if (ageMs < -requestAheadMs)
    throw new RequestWindowError(requestId, `lies ${-ageMs} ms in the future, the latest may be ${requestAheadMs} ms`)
}

/** The milliseconds since 1970 in a UUIDv7. */
export function requestTimeMs(requestId: string): number {
  return Number.parseInt(requestId.slice(0, 8) + requestId.slice(9, 13), 16)
}

/** Refuses a repeated request that is not what was recorded under its id. */
export function sameRequest({ writes, requestId }: CheckedAppend, recorded: readonly RecordedEvent[]): void {
  const events = writes.flatMap((write) => write.events.map(({ eventId }) => ({ stream: write.stream, eventId })))
  const same =
    events.length === recorded.length &&
    events.every(({ stream, eventId }, at) => recorded[at]?.stream === stream && recorded[at]?.eventId === eventId)
  if (!same) throw new RequestMismatchError(requestId ?? '', recorded[0]?.position ?? -1n)
}

function rowOf(events: readonly RecordedEvent[]): RequestRow {
  return { firstPosition: events[0]?.position ?? -1n, lastPosition: events.at(-1)?.position ?? -1n }
}
