import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bool,
  type Codec,
  decode,
  double,
  encode,
  i32,
  i64,
  opaque,
  opaqueFixed,
  text,
  u32,
  u64,
} from '../../src/xdr/xdr-codec.ts'
import { array, arrayFixed, optional, struct, union } from '../../src/xdr/xdr-composites.ts'
import { XdrError } from '../../src/xdr/xdr-error.ts'

function hex(value: string): Buffer {
  return Buffer.from(value.replaceAll(' ', ''), 'hex')
}

describe('primitives have the bytes of RFC 4506', () => {
  const rows: readonly (readonly [string, Codec<unknown>, unknown, string])[] = [
    ['i32', i32, -2, 'fffffffe'],
    ['u32', u32, 4294967295, 'ffffffff'],
    ['i64', i64, -1n, 'ffffffffffffffff'],
    ['u64', u64, 2n ** 64n - 1n, 'ffffffffffffffff'],
    ['double', double, 1.5, '3ff8000000000000'],
    ['bool', bool, true, '00000001'],
    ['opaque', opaque(4), Buffer.from([1, 2, 3]), '00000003 01020300'],
    ['opaqueFixed', opaqueFixed(2), Buffer.from([1, 2]), '01020000'],
    ['text', text(10), 'äb', '00000003 c3a46200'],
    ['optional', optional(i32), 7, '00000001 00000007'],
    ['optional null', optional(i32), null, '00000000'],
    ['array', array(i32, 2), [1, 2], '00000002 00000001 00000002'],
    ['arrayFixed', arrayFixed(i32, 2), [1, 2], '00000001 00000002'],
    ['struct', struct({ a: i32, b: text(4) }), { a: 1, b: 'x' }, '00000001 00000001 78000000'],
    [
      'union',
      union({ number: [1, i32], word: [7, text(4)] }),
      { kind: 'word', value: 'x' },
      '00000007 00000001 78000000',
    ],
  ]
  test.each(rows)('%s', (...[_name, codec, value, bytes]) => {
    expect(encode(codec, value).toString('hex')).toBe(bytes.replaceAll(' ', ''))
    expect(decode(codec, hex(bytes))).toEqual(value)
  })
})

describe('decode() refuses what no honest peer sends', () => {
  const rows: readonly (readonly [string, Codec<unknown>, string, string])[] = [
    ['a negative length', opaque(100), 'ffffffff', '4294967295 is over the limit of 100'],
    ['a length over the limit', text(3), '00000004 61616161', '4 is over the limit of 3'],
    ['a length beyond the message', text(100), '00000008 61616161', '4 bytes are left'],
    ['an array of 2^30', array(i32, 2 ** 20), '40000000', '1073741824 is over the limit of 1048576'],
    ['an array longer than its bytes', array(i32, 2 ** 20), '00000002 00000001', '0 bytes are left'],
    ['missing padding', text(10), '00000001 61', '1 bytes are left'],
    ['padding that is not zero', text(10), '00000001 61000001', 'padding is not zero'],
    ['bytes after the end', i32, '00000001 00000002', '4 bytes follow'],
    ['a boolean of 2', bool, '00000002', 'neither 0 nor 1'],
    ['an optional of 2', optional(i32), '00000002 00000001', 'neither 0 nor 1'],
    ['broken UTF-8', text(10), '00000002 c3280000', 'not valid UTF-8'],
    ['a NUL in a string', text(10), '00000002 61000000', 'NUL'],
    ['an unknown discriminant', union({ a: [1, i32] }), '00000002 00000000', 'discriminant 2 is unknown'],
    ['half a hyper', u64, '00000000', '4 bytes are left'],
  ]
  test.each(rows)('%s', (...[_name, codec, bytes, message]) => {
    expect(() => decode(codec, hex(bytes))).toThrow(XdrError)
    expect(() => decode(codec, hex(bytes))).toThrow(message)
  })
})

describe('encode() refuses what a peer would not accept', () => {
  const rows: readonly (readonly [string, () => unknown])[] = [
    ['a number that is no u32', () => encode(u32, -1)],
    ['a fraction', () => encode(i32, 1.5)],
    ['a number that is no i32', () => encode(i32, 2 ** 31)],
    ['a bigint over 64 bits', () => encode(u64, 2n ** 64n)],
    ['a string over its limit', () => encode(text(3), 'äää')],
    ['an array over its limit', () => encode(array(i32, 1), [1, 2])],
    ['fixed bytes of another length', () => encode(opaqueFixed(16), Buffer.alloc(15))],
  ]
  test.each(rows)('%s', (_name, act) => expect(act).toThrow(XdrError))
})

const everything = struct({
  name: text(1000),
  maybe: optional(array(u64, 20)),
  rows: array(struct({ id: i32, flag: bool, data: opaque(50) }), 20),
})

test('decode() gives back what encode() wrote, whatever it was', () => {
  const value = fc.record({
    name: fc.string({ unit: 'grapheme', maxLength: 100 }).filter((one) => !one.includes('\0')),
    maybe: fc.option(fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { maxLength: 20 })),
    rows: fc.array(
      fc.record({
        id: fc.integer(),
        flag: fc.boolean(),
        data: fc.uint8Array({ maxLength: 50 }).map((one) => Buffer.from(one)),
      }),
      { maxLength: 20 },
    ),
  })
  fc.assert(
    fc.property(value, (one) => {
      expect(decode(everything, encode(everything, one))).toEqual(one)
    }),
    { numRuns: 200 },
  )
})

test('decode() of any bytes ends in a value or an XdrError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decode(everything, Buffer.from(bytes))
      } catch (error) {
        expect(error).toBeInstanceOf(XdrError)
      }
    }),
    { numRuns: 1000 },
  )
})

test('encode() of a long text grows the buffer', () => {
  const long = 'ä'.repeat(2_000_000)
  expect(decode(text(4_194_304), encode(text(4_194_304), long))).toBe(long)
})
