import { array, mapped, optional, struct } from '../xdr/xdr-composites.ts'
import { i32, opaque, opaqueFixed, text, type ValueOf } from '../xdr/xdr-codec.ts'
import { limits } from './limits.ts'

/** A string that is always there. */
export const string = text(limits.stringBytes)
/** A string that may be absent. */
export const stringOrNull = optional(string)
/**
 * A document a client submits (XML): its exact bytes, because what is recorded is what was sent, and because bytes that
 * are not UTF-8 deserve an error about the document, not about the message.
 */
export const document = opaque(limits.stringBytes)

/** Sixteen bytes, written as the usual 36 lower-case characters. */
export const uuid = mapped(opaqueFixed(16), formatUuid, parseUuid)

/** A domain as the protocol names it. `id` is -1 while it is inactive; only the UUID identifies it. */
export const domainRef = struct({ name: string, uuid, id: i32 })
/** What `domainRef` reads and writes. */
export type DomainRef = ValueOf<typeof domainRef>

/** A domain snapshot: its name is unique in its domain. */
export const snapshotRef = struct({ name: string, domain: domainRef })
/** What `snapshotRef` reads and writes. */
export type SnapshotRef = ValueOf<typeof snapshotRef>

/** A virtual network; this and the objects below are named by the protocol and answered as absent. */
export const networkRef = struct({ name: string, uuid })
/** A network filter. */
export const nwfilterRef = struct({ name: string, uuid })
/** A network filter in use by a port. */
export const nwfilterBindingRef = struct({ portDevice: string, filterName: string })
/** An interface of the host. */
export const interfaceRef = struct({ name: string, mac: string })
/** A storage pool. */
export const storagePoolRef = struct({ name: string, uuid })
/** A volume of a storage pool. */
export const storageVolumeRef = struct({ pool: string, name: string, key: string })
/** A device of the host. */
export const nodeDeviceRef = struct({ name: string })
/** A secret. */
export const secretRef = struct({ uuid, usageType: i32, usageId: string })

/**
 * C's `char` array: a word for each character, as the protocol has it for security models and labels, with the terminating
 * NUL counted.
 */
export function charArray(max: number) {
  return mapped(array(i32, max), charsToText, textToChars)
}

/** The text of words that each hold one Latin-1 character, up to the first NUL. */
export function charsToText(chars: readonly number[]): string {
  const end = chars.indexOf(0)
  return String.fromCharCode(...(end < 0 ? chars : chars.slice(0, end)).map((char) => char & 0xff))
}

/** One word per byte of the text's UTF-8, then the NUL. */
export function textToChars(value: string): readonly number[] {
  return [...Buffer.from(value, 'utf8'), 0]
}

function formatUuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

function parseUuid(value: string): Uint8Array {
  return Buffer.from(value.replaceAll('-', ''), 'hex')
}
