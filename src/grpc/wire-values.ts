import * as v from 'valibot'
import type { ExpectedRevision } from '../eventstore/recorded-event.ts'
import { int64Field, type Wire64, wire64 } from './message-codec.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes of a message; an absent field is no bytes. */
export const bytesField = v.optional(v.instance(Uint8Array), () => new Uint8Array())

/** Reads the name of a stream. */
export const streamNameField = v.pipe(
  v.object({ streamName: bytesField }),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return utf8.decode(dataset.value.streamName)
    } catch {
      addIssue({ message: 'The stream name is not UTF-8' })
      return NEVER
    }
  }),
)

/** Reads a UUID in either of its forms, as text. */
export const uuidField = v.pipe(
  v.object({
    string: v.optional(v.string()),
    structured: v.optional(
      v.object({
        mostSignificantBits: v.optional(int64Field, '0'),
        leastSignificantBits: v.optional(int64Field, '0'),
      }),
    ),
  }),
  v.transform(({ string, structured }) => {
    if (structured === undefined) return string ?? ''
    const hex = [structured.mostSignificantBits, structured.leastSignificantBits].map(hexOf).join('')
    return [0, 8, 12, 16, 20].map((from, at, all) => hex.slice(from, all[at + 1])).join('-')
  }),
)

function hexOf(bits: bigint): string {
  return BigInt.asUintN(64, bits).toString(16).padStart(16, '0')
}

/** A UUID for a message, in the form that the client asked for. */
export function wireUuid(uuid: string, form: 'text' | 'structured' = 'text'): object {
  if (form === 'text') return { string: uuid }
  const hex = uuid.replaceAll('-', '')
  return {
    structured: {
      mostSignificantBits: wire64(BigInt(`0x${hex.slice(0, 16)}`)),
      leastSignificantBits: wire64(BigInt(`0x${hex.slice(16)}`)),
    },
  }
}

/** The name of a stream for a message. */
export function wireStream(name: string): object {
  return { streamName: Buffer.from(name) }
}

/** Commit and prepare position of a message: both are the position in the log, since every event of this log is committed. */
export function wirePosition(position: bigint): { readonly commitPosition: Wire64; readonly preparePosition: Wire64 } {
  const both = wire64(position)
  return { commitPosition: both, preparePosition: both }
}

/** What an append demands of its stream, in the words of a request: exactly one of them is there. */
export interface RevisionChoice {
  readonly exact?: bigint | undefined
  readonly noStream?: object | undefined
  readonly streamExists?: object | undefined
}

/** The expected revision of a request; one that says nothing expects nothing. */
export function expectedRevisionOf({ exact, noStream, streamExists }: RevisionChoice): ExpectedRevision {
  if (exact !== undefined) return exact
  if (noStream !== undefined) return 'no_stream'
  return streamExists === undefined ? 'any' : 'stream_exists'
}
