/** Bytes that are not a valid RFC 4506 encoding of what was expected, or a value that cannot be encoded. */
export class XdrError extends Error {
  override readonly name = 'XdrError'
}
