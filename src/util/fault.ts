/**
 * What went wrong, in words that every layer shares. The wire code and domain of each kind are assigned in one
 * place only (`rpc/error.ts`); the same kinds name the refusing rule in `CommandRefused`.
 */
export const faultKinds = [
  'access_denied', // a read-only connection, or a peer without the right, asked for a change
  'argument_unsupported', // the request is understood, this flag or argument cannot be served (no guest agent ...)
  'block_job_active', // the disk has a block job already
  'block_job_missing', // the disk has no active block job
  'config_unsupported', // a definition asks for what this hypervisor or version cannot do
  'domain_exists', // the name or the UUID is already used by another domain
  'internal', // a fault of the daemon itself
  'invalid_arg', // a value that no state could make right
  'log_unavailable', // the event log cannot be written now: nothing was changed
  'no_connect', // no driver serves the connection URI
  'no_domain', // the domain does not exist
  'no_domain_metadata', // the metadata element is absent
  'no_interface',
  'no_network',
  'no_node_device',
  'no_nwfilter',
  'no_secret',
  'no_snapshot', // the snapshot, its parent or the current snapshot does not exist
  'no_storage_pool',
  'no_storage_volume',
  'no_support', // the interface knows the call, this driver does not serve it
  'operation_aborted', // the caller or another client cancelled it
  'operation_failed', // it was tried and did not succeed
  'operation_invalid', // not possible in the current state
  'operation_timeout', // a limit on waiting was reached
  'operation_unsupported', // this state or this kind of object never supports it
  'resource_busy', // held by another domain or job
  'rpc', // the conversation itself is wrong: unknown number, undecodable payload
  'system', // the operating system refused
  'xml_error', // well-formed, but not a valid definition
  'xml_malformed', // not well-formed XML at all
] as const

/** One of the kinds of failure that a client can be told about. */
export type FaultKind = (typeof faultKinds)[number]

/** What a fault may carry besides its message. */
export interface FaultOptions {
  /** The error that led here; kept for the log, never sent to a client. */
  readonly cause?: unknown
  /** The object the message is about (a disk target, a path), sent as the second detail string. */
  readonly subject?: string
}

/**
 * A failure that a caller may be told about. The message is a whole sentence that names the action, quotes the value and
 * says the current and the wanted state; it carries no libvirt prefix, which `rpc/error.ts` puts in front by kind.
 *
 * ```ts
 * throw new Fault('operation_invalid', 'Cannot start domain "web": it is running, it must be shut off')
 * ```
 */
export class Fault extends Error {
  override readonly name: string = 'Fault'
  readonly kind: FaultKind
  readonly subject: string | undefined

  constructor(kind: FaultKind, message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.subject = options.subject
  }
}

/** Whether an unknown error is a fault, optionally of one kind. */
export function isFault(error: unknown, kind?: FaultKind): error is Fault {
  return error instanceof Fault && (kind === undefined || error.kind === kind)
}
