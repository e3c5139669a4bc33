import { status } from '@grpc/grpc-js'

/** Kinds of refusal that the official client knows by the trailer `exception` and turns into an error class of its own. */
export type ExceptionName =
  | 'access-denied'
  | 'maximum-append-size-exceeded'
  | 'missing-required-metadata-property'
  | 'wrong-expected-version'

/** What goes with a refusal besides its text. */
export interface RefusalTrailers {
  readonly exception: ExceptionName
  /** More trailers by their names; values are printable ASCII. */
  readonly values?: Readonly<Record<string, string>>
}

/** A call that is not served as asked: the status that ends it, and for known kinds the trailers by which clients tell them apart. */
export class CallRefusedError extends Error {
  override readonly name = 'CallRefusedError'
  readonly code: status
  readonly trailers: RefusalTrailers | null

  constructor(code: status, message: string, trailers: RefusalTrailers | null = null) {
    super(message)
    this.code = code
    this.trailers = trailers
  }
}

/** A refusal for lack of the right. */
export function accessDenied(message: string): CallRefusedError {
  return new CallRefusedError(status.PERMISSION_DENIED, message, { exception: 'access-denied' })
}

/** A refusal of an append that is too big; `maxBytes` is what one may have. */
export function appendTooBig(message: string, maxBytes: number): CallRefusedError {
  const values = { 'maximum-append-size': String(maxBytes) }
  return new CallRefusedError(status.INVALID_ARGUMENT, message, { exception: 'maximum-append-size-exceeded', values })
}

/** A refusal of an event that lacks something every event must have. */
export function propertyMissing(property: string): CallRefusedError {
  const message = `Cannot append: an event has no "${property}" in its metadata`
  const values = { 'required-metadata-properties': 'type,content-type' }
  return new CallRefusedError(status.INVALID_ARGUMENT, message, {
    exception: 'missing-required-metadata-property',
    values,
  })
}
