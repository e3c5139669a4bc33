import { errorCode, errorDomain, errorLevel } from '../protocol/error-codes.ts'
import type { WireError } from '../protocol/wire-error.ts'
import { Fault, type FaultKind } from '../util/fault.ts'

interface WireRow {
  readonly code: number
  readonly domain: number
  /** Put before the message, as clients show it; empty where the message stands alone. */
  readonly prefix: string
}

function row(code: number, domain: number, prefix = ''): WireRow {
  return { code, domain, prefix }
}

const { qemu, domain, rpc, none, storage, network, nodeDevice, nwfilter, secret } = errorDomain

/** The only place where wire codes are assigned. Code and domain are those of libvirtd 9.0 for the same situation. */
const wireRows: Readonly<Record<FaultKind, WireRow>> = {
  access_denied: row(errorCode.operationDenied, domain, 'operation forbidden: '),
  argument_unsupported: row(errorCode.argumentUnsupported, qemu, 'argument unsupported: '),
  block_job_active: row(errorCode.blockJobActive, qemu, 'block copy still active: '),
  block_job_missing: row(errorCode.invalidArgument, qemu, 'invalid argument: '),
  config_unsupported: row(errorCode.configUnsupported, qemu, 'unsupported configuration: '),
  domain_exists: row(errorCode.operationFailed, domain, 'operation failed: '),
  internal: row(errorCode.internal, none, 'internal error: '),
  invalid_arg: row(errorCode.invalidArgument, qemu, 'invalid argument: '),
  log_unavailable: row(errorCode.operationFailed, domain, 'operation failed: '),
  no_connect: row(errorCode.noConnect, none, 'no connection driver available for '),
  no_domain: row(errorCode.noDomain, qemu, 'Domain not found: '),
  no_domain_metadata: row(errorCode.noDomainMetadata, domain, 'metadata not found: '),
  no_interface: row(errorCode.noInterface, errorDomain.interface, 'Interface not found: '),
  no_network: row(errorCode.noNetwork, network, 'Network not found: '),
  no_node_device: row(errorCode.noNodeDevice, nodeDevice, 'Node device not found: '),
  no_nwfilter: row(errorCode.noNwfilter, nwfilter, 'Network filter not found: '),
  no_secret: row(errorCode.noSecret, secret, 'Secret not found: '),
  no_snapshot: row(errorCode.noDomainSnapshot, qemu, 'Domain snapshot not found: '),
  no_storage_pool: row(errorCode.noStoragePool, storage, 'Storage pool not found: '),
  no_storage_volume: row(errorCode.noStorageVolume, storage, 'Storage volume not found: '),
  no_support: row(errorCode.noSupport, domain, 'this function is not supported by the connection driver: '),
  operation_aborted: row(errorCode.operationAborted, domain, 'operation aborted: '),
  operation_failed: row(errorCode.operationFailed, domain, 'operation failed: '),
  operation_invalid: row(errorCode.operationInvalid, domain, 'Requested operation is not valid: '),
  operation_timeout: row(errorCode.operationTimeout, domain, 'Timed out during operation: '),
  operation_unsupported: row(errorCode.operationUnsupported, domain, 'Operation not supported: '),
  resource_busy: row(errorCode.resourceBusy, domain, 'resource busy: '),
  rpc: row(errorCode.rpc, rpc),
  system: row(errorCode.systemError, qemu),
  xml_error: row(errorCode.xmlError, domain, 'XML error: '),
  xml_malformed: row(errorCode.xmlDetail, domain),
}

/** What a client is told when a fault of the daemon must not be described to it; the log has the rest. */
const internalMessage = 'The daemon could not complete the request; its log has the details'

/** Messages quote what clients sent, which may be as long as a string of the protocol; the reply must still fit. */
const maxMessageLength = 16_384

function shortened(text: string): string {
  return text.length <= maxMessageLength ? text : `${text.slice(0, maxMessageLength)} ... (${text.length} characters)`
}

/** The error payload for anything thrown by a handler. Only faults keep their message. */
export function wireErrorOf(error: unknown): WireError {
  const fault = error instanceof Fault ? error : new Fault('internal', internalMessage, { cause: error })
  const { code, domain, prefix } = wireRows[fault.kind]
  const message = shortened(fault.message)
  return {
    code,
    domain,
    message: `${prefix}${message}`,
    level: errorLevel.error,
    domainRef: null,
    str1: `${prefix}%s`,
    str2: message,
    str3: fault.subject === undefined ? null : shortened(fault.subject),
    int1: -1,
    int2: -1,
    networkRef: null,
  }
}

/** The error for a call that came before CONNECT_OPEN: internal by code, but the conversation's fault by domain. */
export function notOpenError(): WireError {
  const error = wireErrorOf(new Fault('internal', 'hypervisor connection not open'))
  return { ...error, domain: errorDomain.rpc }
}
