import { randomUUID } from 'node:crypto'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import type { Delivery } from '../eventstore/subscription.ts'
import type { CallContext } from './call-services.ts'
import { type ReadRequest, readReadRequest, type ReadStart } from './read-request.ts'
import { eventResponse, readResponse } from './read-response.ts'

/** The last number that PostgreSQL counts with; requests may go on to 2^64. */
const lastNumber = 2n ** 63n - 1n

/** `Read`: events of a stream or of the log, as they are or (a subscription) as they come. */
export function read(message: Uint8Array, context: CallContext): AsyncIterable<Buffer> {
  const request = readReadRequest(message)
  const { stream } = request
  if (request.subscribes) {
    return stream === null ? subscribeAll(request, context) : subscribeStream(stream, { request, context })
  }
  return stream === null ? readAll(request, context) : readStream(stream, { request, context })
}

interface StreamCall {
  readonly request: ReadRequest
  readonly context: CallContext
}

async function* readStream(stream: string, { request, context }: StreamCall): AsyncGenerator<Buffer, void> {
  const { store } = context.services
  const { direction, maxCount } = request
  const from = streamStart(request)
  let found = 0
  if (from !== null && maxCount > 0) {
    const options = { direction, maxCount, signal: context.signal, ...(from === 'last' ? {} : { from }) }
    for await (const event of store.readStream(stream, options)) {
      found += 1
      yield await response(event, request, context)
    }
  }
  if (found > 0 && !request.wantsEnds) return
  const last = await lastOf(stream, context)
  if (last === null) yield readResponse.streamNotFound(stream)
  else if (request.wantsEnds) yield readResponse.lastStreamPosition(last.revision)
}

/** Where a read of a stream begins: a revision, the last one whatever it is, or (null) where nothing can be. */
function streamStart({ from, direction }: ReadRequest): bigint | 'last' | null {
  if (from === 'start') return 0n
  if (direction === 'backwards') return from === 'end' || from > lastNumber ? 'last' : from
  return from === 'end' || from > lastNumber ? null : from
}

async function* readAll(request: ReadRequest, context: CallContext): AsyncGenerator<Buffer, void> {
  const { store } = context.services
  const { direction, maxCount, filter } = request
  const from = logStart(request, store.head.position)
  if (from !== null && maxCount > 0) {
    const options = { direction, maxCount, signal: context.signal, from, ...(filter === null ? {} : { filter }) }
    for await (const event of store.readAll(options)) yield await response(event, request, context)
  }
  if (request.wantsEnds) yield readResponse.lastAllStreamPosition(store.head.position)
}

/** Where a read of the log begins, null where nothing can be. Backwards from a position begins before it, as in EventStoreDB. */
function logStart({ from, direction }: ReadRequest, head: bigint): bigint | null {
  if (direction === 'forwards') {
    if (from === 'start') return 0n
    return from === 'end' || from > lastNumber ? null : from
  }
  if (from === 'start' || from === 0n) return null
  return from === 'end' || from > head ? head : from - 1n
}

async function* subscribeAll(request: ReadRequest, context: CallContext): AsyncGenerator<Buffer, void> {
  const { store } = context.services
  const { filter, checkpointEvery } = request
  const from = after(request.from, store.head.position)
  yield readResponse.confirmation(randomUUID())
  const filtering = filter === null ? {} : { filter, checkpointEvery }
  yield* deliver(store.subscribe({ from, signal: context.signal, ...filtering }), { request, context })
}

async function* subscribeStream(stream: string, { request, context }: StreamCall): AsyncGenerator<Buffer, void> {
  const { store } = context.services
  const last = request.from === 'end' ? ((await lastOf(stream, context))?.revision ?? -1n) : -1n
  const from = after(request.from, last)
  yield readResponse.confirmation(randomUUID())
  yield* deliver(store.subscribeStream(stream, { from, signal: context.signal }), { request, context })
}

/** A subscription from a number begins after it: it is that of the last event which the client has. */
function after(from: ReadStart, last: bigint): bigint {
  if (from === 'start') return 0n
  if (from === 'end') return last + 1n
  return from >= lastNumber ? lastNumber : from + 1n
}

async function* deliver(
  deliveries: AsyncIterable<Delivery>,
  { request, context }: StreamCall,
): AsyncGenerator<Buffer, void> {
  for await (const delivery of deliveries) {
    switch (delivery.kind) {
      case 'event':
        yield await response(delivery.event, request, context)
        break
      case 'checkpoint':
        if (request.filter !== null) yield readResponse.checkpoint(delivery.position)
        break
      case 'caught-up':
        yield readResponse.caughtUp()
        break
      case 'fell-behind':
        yield readResponse.fellBehind()
        break
    }
  }
}

function response(
  event: RecordedEvent,
  { uuidForm }: ReadRequest,
  { services }: CallContext,
): Buffer | Promise<Buffer> {
  return eventResponse(event, { blobs: services.store.blobs, uuidForm })
}

async function lastOf(stream: string, { services, signal }: CallContext): Promise<RecordedEvent | null> {
  const options = { direction: 'backwards', maxCount: 1, signal } as const
  for await (const event of services.store.readStream(stream, options)) return event
  return null
}
