/**
 * Text of an attribute or element ⇄ a value. `parse` answers undefined for a text that is not one; `wanted` completes the
 * sentence "it must be …".
 */
export interface ValueCodec<T> {
  readonly rule: string
  readonly wanted: string
  parse(text: string): T | undefined
  print(value: T): string
}

/** Any text, as written. */
export const anyText: ValueCodec<string> = {
  rule: 'text',
  wanted: 'text',
  parse: (text) => text,
  print: (value) => value,
}

/** Text that is not empty. */
export const someText: ValueCodec<string> = {
  rule: 'not-empty',
  wanted: 'a text that is not empty',
  parse: (text) => (text === '' ? undefined : text),
  print: (value) => value,
}

/** One of a closed list of words. */
export function oneOf<const W extends string>(...words: readonly W[]): ValueCodec<W> {
  const known = new Map<string, W>(words.map((word) => [word, word]))
  return {
    rule: 'one-of',
    wanted: `one of ${words.join(', ')}`,
    parse: (text) => known.get(text),
    print: (value) => value,
  }
}

/** Words that stand for true and false. */
function truth(yes: string, no: string): ValueCodec<boolean> {
  return {
    rule: `${yes}-${no}`,
    wanted: `"${yes}" or "${no}"`,
    parse: (text) => (text === yes ? true : text === no ? false : undefined),
    print: (value) => (value ? yes : no),
  }
}

/** `on` or `off`. */
export const onOff: ValueCodec<boolean> = truth('on', 'off')

/** `yes` or `no`. */
export const yesNo: ValueCodec<boolean> = truth('yes', 'no')

// The reference reads numbers with strtoul in base 10: white space and a plus sign may stand in front.
const decimal = /^[ \t\n]*\+?([0-9]{1,20})$/

function integer(text: string, range: { readonly min: number; readonly max: number }): number | undefined {
  const signed = /^[ \t\n]*[+-]?[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
  return signed >= range.min && signed <= range.max ? signed : undefined
}

/** A whole number from 0 to 2^32-1. */
export const unsignedInt: ValueCodec<number> = {
  rule: 'unsigned-int',
  wanted: 'a whole number from 0 to 4294967295',
  parse: (text) => integer(text, { min: 0, max: 4_294_967_295 }),
  print: (value) => String(value),
}

/** A whole number from -2^31 to 2^31-1. */
export const signedInt: ValueCodec<number> = {
  rule: 'signed-int',
  wanted: 'a whole number from -2147483648 to 2147483647',
  parse: (text) => integer(text, { min: -2_147_483_648, max: 2_147_483_647 }),
  print: (value) => String(value),
}

/** A whole number from 1 to 2^32-1. */
export const positiveInt: ValueCodec<number> = {
  rule: 'positive-int',
  wanted: 'a whole number from 1 to 4294967295',
  parse: (text) => integer(text, { min: 1, max: 4_294_967_295 }),
  print: (value) => String(value),
}

/** A whole number from 0 to 2^64-1. */
export const unsignedLong: ValueCodec<bigint> = {
  rule: 'unsigned-long',
  wanted: 'a whole number from 0 to 18446744073709551615',
  parse(text) {
    const digits = decimal.exec(text)?.[1]
    const value = digits === undefined ? undefined : BigInt(digits)
    return value !== undefined && value < 1n << 64n ? value : undefined
  },
  print: (value) => String(value),
}

/** A number written in base 8, 10 or 16 as in C, printed as `0x` and at least `digits` hexadecimal digits. */
export function hex(digits: number, max = 0xffff_ffff): ValueCodec<number> {
  return {
    rule: 'number',
    wanted: `a number from 0 to 0x${max.toString(16)}`,
    parse(text) {
      if (!/^(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,11})$/.test(text)) return undefined
      const octal = /^0[0-7]+$/.test(text)
      if (!octal && /^0[0-9]+$/.test(text)) return undefined
      const value = octal ? Number.parseInt(text, 8) : Number(text)
      return value <= max ? value : undefined
    },
    print: (value) => `0x${value.toString(16).padStart(digits, '0')}`,
  }
}

/** A UUID in any of the accepted spellings (hyphens optional), as 36 lower-case characters. */
export const uuidText: ValueCodec<string> = {
  rule: 'uuid',
  wanted: 'a UUID of 32 hexadecimal digits',
  parse(text) {
    const digits = text.trim().replaceAll('-', '').toLowerCase()
    if (!/^[0-9a-f]{32}$/.test(digits)) return undefined
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  },
  print: (value) => value,
}

/** A unicast Ethernet address, as six lower-case hexadecimal pairs. */
export const macAddress: ValueCodec<string> = {
  rule: 'mac-address',
  wanted: 'a unicast MAC address such as 52:54:00:12:34:56',
  parse(text) {
    if (!/^[0-9a-fA-F]{1,2}(?::[0-9a-fA-F]{1,2}){5}$/.test(text)) return undefined
    const pairs = text.toLowerCase().split(':')
    const [first = '0'] = pairs
    if (Number.parseInt(first, 16) % 2 === 1) return undefined
    return pairs.map((pair) => pair.padStart(2, '0')).join(':')
  },
  print: (value) => value,
}
