/** The few forms of DER (ITU-T X.690) that a certificate is made of. Each gives the whole element: tag, length, content. */
export const der = {
  sequence: (...parts: readonly Uint8Array[]) => element(0x30, ...parts),
  set: (...parts: readonly Uint8Array[]) => element(0x31, ...parts),
  boolean: (value: boolean) => element(0x01, Uint8Array.of(value ? 0xff : 0)),
  /** A number from 0, as big-endian bytes. */
  integer: (bytes: Uint8Array) => {
    const start = bytes.findIndex((byte) => byte !== 0)
    const digits = start === -1 ? Uint8Array.of(0) : bytes.subarray(start)
    // The first bit is the sign.
    return element(0x02, ...((digits[0] ?? 0) >= 0x80 ? [Uint8Array.of(0)] : []), digits)
  },
  bitString: (bytes: Uint8Array, unusedBits = 0) => element(0x03, Uint8Array.of(unusedBits), bytes),
  octetString: (bytes: Uint8Array) => element(0x04, bytes),
  utf8String: (text: string) => element(0x0c, Buffer.from(text)),
  /** A time as certificates have it: two digits of the year up to 2049 (RFC 5280 section 4.1.2.5). */
  time: (at: Date) => {
    const digits = at.toISOString().replaceAll(/[-:T]|\.\d+/g, '')
    return at.getUTCFullYear() < 2050 ? element(0x17, Buffer.from(digits.slice(2))) : element(0x18, Buffer.from(digits))
  },
  /** An object identifier in its dotted form. */
  oid: (dotted: string) => {
    const [first = 0, second = 0, ...others] = dotted.split('.').map(Number)
    return element(0x06, Uint8Array.from([first * 40 + second, ...others].flatMap(base128)))
  },
  /** Element number `tag` of a choice, holding other elements or (primitive) bytes. */
  tagged: (tag: number, content: Uint8Array, form: 'constructed' | 'primitive' = 'constructed') =>
    element((form === 'constructed' ? 0xa0 : 0x80) + tag, content),
} as const

function element(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts)
  return Buffer.concat([Uint8Array.of(tag, ...lengthOf(content.length)), content])
}

function lengthOf(length: number): readonly number[] {
  if (length < 0x80) return [length]
  const digits = Buffer.from(length.toString(16).padStart(length > 0xff ? 4 : 2, '0'), 'hex')
  return [0x80 + digits.length, ...digits]
}

function base128(value: number): readonly number[] {
  const digits = [value & 0x7f]
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) digits.unshift((rest & 0x7f) | 0x80)
  return digits
}
