import * as v from 'valibot'
import type { ExpectedRevision } from '../../src/eventstore/recorded-event.ts'

// Lines of JSON on a UNIX socket between the clients and the process that writes. Positions and revisions are decimal strings.

const bigint = v.pipe(
  v.string(),
  v.regex(/^-?\d+$/),
  v.transform((digits) => BigInt(digits)),
)
const expected = v.union([v.literal('any'), v.literal('no_stream'), v.literal('stream_exists'), bigint])
const newEvent = v.object({ eventId: v.string(), type: v.string(), data: v.string() })
const place = v.object({ stream: v.string(), revision: bigint, position: v.nullable(bigint) })
const request = v.variant('kind', [
  v.object({
    kind: v.literal('append'),
    id: v.number(),
    writes: v.array(v.object({ stream: v.string(), expected, events: v.array(newEvent), blobs: v.array(v.string()) })),
    requestId: v.nullable(v.string()),
  }),
  v.object({
    kind: v.literal('count'),
    id: v.number(),
    stream: v.string(),
    event: v.object({ eventId: v.string(), type: v.string(), key: v.string() }),
    requestId: v.nullable(v.string()),
  }),
  v.object({ kind: v.literal('last'), id: v.number(), stream: v.string() }),
  v.object({ kind: v.literal('moment'), id: v.number(), agoUs: bigint }),
  v.object({ kind: v.literal('clock'), id: v.number(), offsetUs: bigint }),
  v.object({ kind: v.literal('close'), id: v.number() }),
])
const answer = v.variant('kind', [
  v.object({
    kind: v.literal('acknowledged'),
    id: v.number(),
    commitNo: v.nullable(bigint),
    head: v.nullable(v.object({ commitNo: bigint, root: v.string() })),
    places: v.array(place),
  }),
  v.object({
    kind: v.literal('refused'),
    id: v.number(),
    reason: v.string(),
    wrongRevision: v.nullable(v.object({ stream: v.string(), current: v.nullable(bigint) })),
  }),
  v.object({ kind: v.literal('unknown'), id: v.number(), reason: v.string() }),
  v.object({ kind: v.literal('last'), id: v.number(), revision: v.nullable(bigint), value: v.nullable(v.number()) }),
  v.object({ kind: v.literal('moment'), id: v.number(), timeUs: bigint, position: bigint }),
  v.object({ kind: v.literal('done'), id: v.number() }),
])

/** What a client asks the writing process. `count` lets the writer decide the next number of a counter. */
export type WriterRequest = v.InferOutput<typeof request>
/** What the writing process answers, under the request's id. */
export type WriterAnswer = v.InferOutput<typeof answer>
/** An append as clients ask for it; `blobs` are big texts. */
export interface FramedWrite {
  readonly stream: string
  readonly expected: ExpectedRevision
  readonly events: readonly { readonly eventId: string; readonly type: string; readonly data: string }[]
  readonly blobs: readonly string[]
}

/** Reads a line of a client. */
export function parseRequest(line: string): WriterRequest {
  return v.parse(request, JSON.parse(line))
}

/** Reads a line of the writing process. */
export function parseAnswer(line: string): WriterAnswer {
  return v.parse(answer, JSON.parse(line))
}

/** A line, with its end. */
export function frame(message: WriterRequest | WriterAnswer): string {
  return `${JSON.stringify(message, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}\n`
}
