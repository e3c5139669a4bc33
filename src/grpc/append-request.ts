import * as v from 'valibot'
import type { ExpectedRevision } from '../eventstore/recorded-event.ts'
import { int64Field, messageDecoder } from './message-codec.ts'
import { bytesField, expectedRevisionOf, streamNameField, uuidField } from './wire-values.ts'

/** An event as a client proposes it. `metadata` has its type and content type, `customMetadata` is the client's own. */
export interface ProposedEvent {
  readonly id: string
  readonly metadata: Readonly<Record<string, string>>
  readonly customMetadata: Uint8Array
  readonly data: Uint8Array
}

/** Where to append, and on what condition. */
export interface AppendTarget {
  readonly stream: string
  readonly expectedRevision: ExpectedRevision
}

/** A part of an append of several: the first has a target, the last is final. */
export interface BatchPart {
  readonly correlationId: string
  readonly target: (AppendTarget & { readonly deadlineMs: number | null }) | null
  readonly events: readonly ProposedEvent[]
  readonly isFinal: boolean
}

const empty = v.optional(v.object({}))

const proposedEvent = v.object({
  id: uuidField,
  metadata: v.record(v.string(), v.string()),
  customMetadata: bytesField,
  data: bytesField,
})

const appendReq = v.union([
  v.object({
    options: v.pipe(
      v.object({
        streamIdentifier: streamNameField,
        revision: v.optional(int64Field),
        noStream: empty,
        streamExists: empty,
      }),
      v.transform(
        ({ streamIdentifier, revision, ...others }): AppendTarget => ({
          stream: streamIdentifier,
          expectedRevision: expectedRevisionOf({ exact: revision, ...others }),
        }),
      ),
    ),
  }),
  v.object({ proposedMessage: proposedEvent }),
])

/** Reads a message of the call `Append`: first its options, then one event each. */
export const readAppendMessage = messageDecoder('event_store.client.streams.AppendReq', appendReq)

const secondsAndNanos = v.object({ seconds: v.optional(int64Field, '0'), nanos: v.optional(v.number(), 0) })

const batchOptions = v.object({
  streamIdentifier: streamNameField,
  streamPosition: v.optional(int64Field),
  noStream: empty,
  streamExists: empty,
  deadline21100: v.optional(secondsAndNanos),
  deadline: v.optional(secondsAndNanos),
})

const batchAppendReq = v.object({
  correlationId: uuidField,
  options: v.optional(batchOptions),
  proposedMessages: v.array(proposedEvent),
  isFinal: v.optional(v.boolean(), false),
})

const decodeBatchAppend = messageDecoder('event_store.client.streams.BatchAppendReq', batchAppendReq)

/** Reads a message of the call `BatchAppend`; a deadline is milliseconds from now. */
export function readBatchPart(bytes: Uint8Array, nowMs: number): BatchPart {
  const { correlationId, options, proposedMessages: events, isFinal } = decodeBatchAppend(bytes)
  if (options === undefined) return { correlationId, target: null, events, isFinal }
  const { streamIdentifier: stream, streamPosition: exact, deadline, deadline21100, ...others } = options
  const expectedRevision = expectedRevisionOf({ exact, ...others })
  let deadlineMs: number | null = null
  if (deadline !== undefined) deadlineMs = millisecondsOf(deadline)
  else if (deadline21100 !== undefined) deadlineMs = millisecondsOf(deadline21100) - nowMs
  return { correlationId, target: { stream, expectedRevision, deadlineMs }, events, isFinal }
}

function millisecondsOf({ seconds, nanos }: v.InferOutput<typeof secondsAndNanos>): number {
  return Number(seconds) * 1000 + nanos / 1_000_000
}
