import { optional, struct } from '../xdr/xdr-composites.ts'
import { i32, type ValueOf } from '../xdr/xdr-codec.ts'
import { domainRef, networkRef, stringOrNull } from './wire-types.ts'

/**
 * The payload of every reply with status `error`. Clients show `message`; `str1` is its format and `str2`, `str3` what was
 * put into it.
 */
export const wireError = struct({
  code: i32,
  domain: i32,
  message: stringOrNull,
  level: i32,
  domainRef: optional(domainRef),
  str1: stringOrNull,
  str2: stringOrNull,
  str3: stringOrNull,
  int1: i32,
  int2: i32,
  networkRef: optional(networkRef),
})
/** What `wireError` reads and writes. */
export type WireError = ValueOf<typeof wireError>
