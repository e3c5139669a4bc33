import { Metadata, status, type StatusObject } from '@grpc/grpc-js'
import {
  CommitInDoubtError,
  FencedError,
  InvalidAppendError,
  LogBusyError,
  LogClosedError,
  LogCorruptError,
  LogUnavailableError,
  RequestMismatchError,
  RequestWindowError,
  WrongExpectedRevisionError,
} from '../eventstore/append-errors.ts'
import { CallRefusedError, type RefusalTrailers } from './call-refused-error.ts'
import { MalformedMessageError } from './message-codec.ts'

/** What a client is told of an error of the store, by its class. ABORTED is what EventStoreDB answers where the outcome is not known. */
const codes: readonly (readonly [type: abstract new (...args: never) => Error, code: status])[] = [
  [WrongExpectedRevisionError, status.FAILED_PRECONDITION],
  [InvalidAppendError, status.INVALID_ARGUMENT],
  [MalformedMessageError, status.INVALID_ARGUMENT],
  [RequestWindowError, status.INVALID_ARGUMENT],
  [RequestMismatchError, status.ALREADY_EXISTS],
  [LogBusyError, status.RESOURCE_EXHAUSTED],
  [LogUnavailableError, status.UNAVAILABLE],
  [LogClosedError, status.UNAVAILABLE],
  [FencedError, status.UNAVAILABLE],
  [CommitInDoubtError, status.ABORTED],
  [LogCorruptError, status.DATA_LOSS],
]

/** The code for an error; INTERNAL is a fault of this program, which its log tells of. */
export function codeOf(error: unknown): status {
  if (error instanceof CallRefusedError) return error.code
  return codes.find(([type]) => error instanceof type)?.[1] ?? status.INTERNAL
}

/** The status that ends a call with an error. What only this program's log may tell is not in it. */
export function statusOf(error: unknown): Partial<StatusObject> {
  const code = codeOf(error)
  const details = code === status.INTERNAL || !(error instanceof Error) ? 'Internal error' : error.message
  return { code, details: details.toWellFormed(), metadata: trailersOf(error) }
}

function trailersOf(error: unknown): Metadata {
  const metadata = new Metadata()
  const trailers = refusalOf(error)
  if (trailers === null) return metadata
  metadata.set('exception', trailers.exception)
  for (const [name, value] of Object.entries(trailers.values ?? {})) metadata.set(name, encodeURI(value.toWellFormed()))
  return metadata
}

function refusalOf(error: unknown): RefusalTrailers | null {
  if (error instanceof CallRefusedError) return error.trailers
  if (!(error instanceof WrongExpectedRevisionError)) return null
  const { stream, expected, current } = error
  const values = {
    'stream-name': stream,
    'expected-version': String(typeof expected === 'bigint' ? expected : expectedNumbers[expected]),
    ...(current === null ? {} : { 'actual-version': String(current) }),
  }
  return { exception: 'wrong-expected-version', values }
}

/** The numbers that EventStoreDB gives to what is no exact revision. */
const expectedNumbers = { any: -2, no_stream: -1, stream_exists: -4 } as const
