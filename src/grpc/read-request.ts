import * as v from 'valibot'
import type { LogFilter, NameFilter } from '../eventstore/log-filter.ts'
import { int64Field, MalformedMessageError, messageDecoder } from './message-codec.ts'
import { linearPattern } from './linear-pattern.ts'
import { PatternError } from './pattern-syntax.ts'
import { streamNameField } from './wire-values.ts'

/** Where to begin: at an end of the stream or the log, or at a revision or position. */
export type ReadStart = 'start' | 'end' | bigint

/** What a client wants to read, or to be told of (`subscribes`). `stream` is null for the whole log. */
export interface ReadRequest {
  readonly stream: string | null
  readonly from: ReadStart
  readonly direction: 'forwards' | 'backwards'
  readonly maxCount: number
  readonly subscribes: boolean
  readonly filter: LogFilter | null
  /** Filtered subscriptions: a checkpoint after so many events that were looked at. */
  readonly checkpointEvery: number
  readonly uuidForm: 'text' | 'structured'
  /** Newer clients take positions of the ends of a stream along with its events. */
  readonly wantsEnds: boolean
}

const present = v.optional(v.object({}))
const readStart = { start: present, end: present }
const expression = v.object({ regex: v.optional(v.string(), ''), prefix: v.array(v.string()) })

const readReq = v.object({
  options: v.object({
    stream: v.optional(v.object({ streamIdentifier: streamNameField, revision: v.optional(int64Field), ...readStart })),
    all: v.optional(
      v.object({ position: v.optional(v.object({ commitPosition: v.optional(int64Field, '0') })), ...readStart }),
    ),
    readDirection: v.optional(v.picklist([0, 1]), 0),
    count: v.optional(int64Field, '0'),
    subscription: present,
    filter: v.optional(
      v.object({
        streamIdentifier: v.optional(expression),
        eventType: v.optional(expression),
        max: v.optional(v.number()),
        checkpointIntervalMultiplier: v.optional(v.number(), 1),
      }),
    ),
    uuidOption: v.optional(v.object({ structured: present })),
    controlOption: v.optional(v.object({ compatibility: v.optional(v.number(), 0) })),
  }),
})

const decode = messageDecoder('event_store.client.streams.ReadReq', readReq)

/** What EventStoreDB looks at between two checkpoints, unless the client says. */
const usualWindow = 32

/** Reads the message of the call `Read`. Throws {@link MalformedMessageError}. */
export function readReadRequest(bytes: Uint8Array): ReadRequest {
  const { options } = decode(bytes)
  const { stream, all, filter, subscription } = options
  if (stream === undefined && all === undefined) {
    throw new MalformedMessageError('Cannot read: the request names neither a stream nor the whole log')
  }
  const window = (filter?.max ?? usualWindow) * (filter?.checkpointIntervalMultiplier ?? 1)
  return {
    stream: stream?.streamIdentifier ?? null,
    from: startOf(
      stream === undefined ? { ...all, number: all?.position?.commitPosition } : { ...stream, number: stream.revision },
    ),
    direction: options.readDirection === 0 ? 'forwards' : 'backwards',
    maxCount: Number(options.count),
    subscribes: subscription !== undefined,
    filter: filter === undefined ? null : filterOf(filter),
    checkpointEvery: Math.max(1, window),
    uuidForm: options.uuidOption?.structured === undefined ? 'text' : 'structured',
    wantsEnds: (options.controlOption?.compatibility ?? 0) >= 1,
  }
}

function startOf(given: {
  readonly number: bigint | undefined
  readonly start?: object | undefined
  readonly end?: object | undefined
}): ReadStart {
  if (given.number !== undefined) return given.number
  return given.end === undefined ? 'start' : 'end'
}

function filterOf(filter: {
  readonly streamIdentifier?: v.InferOutput<typeof expression> | undefined
  readonly eventType?: v.InferOutput<typeof expression> | undefined
}): LogFilter {
  return {
    ...(filter.streamIdentifier === undefined ? {} : { streams: nameFilterOf(filter.streamIdentifier) }),
    ...(filter.eventType === undefined ? {} : { types: nameFilterOf(filter.eventType) }),
  }
}

function nameFilterOf({ regex, prefix }: v.InferOutput<typeof expression>): NameFilter {
  if (regex === '') return { prefixes: prefix }
  try {
    return { pattern: linearPattern(regex) }
  } catch (error) {
    if (error instanceof PatternError) throw new MalformedMessageError(error.message, { cause: error })
    throw error
  }
}
