import { isUtf8 } from 'node:buffer'
import { Fault } from '../util/fault.ts'

/** The text of a document that a client sent; refuses bytes that are not UTF-8, whose text could not be recorded as sent. */
export function documentText(bytes: Uint8Array, what: string): string {
  if (!isUtf8(bytes)) throw new Fault('xml_malformed', `Cannot read the ${what}: it is not valid UTF-8`)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}
