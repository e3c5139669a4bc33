import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { catalogue, decodeFact, encodeData, isFactType, newFact } from '../../src/events/catalogue.ts'
import { decodeMetadata, encodeMetadata } from '../../src/events/metadata.ts'
import { UnreadableFactError } from '../../src/events/read-fact.ts'
import { categoryOf, claimStream, domainStream, emulatorStream, nodeStream } from '../../src/events/stream-names.ts'
import { anyData, anyInt64 } from '../support/any-fact.ts'
import { projectRoot, readProjectFile } from '../support/project-files.ts'

const types = Object.keys(catalogue).filter(isFactType)

function golden(type: string, schema: number): string {
  return readProjectFile(`fixtures/events/${type}.${schema}.json`).trimEnd()
}

function stored(data: string | Uint8Array, schema = 1): { schema: number; data: Uint8Array } {
  return { schema, data: typeof data === 'string' ? Buffer.from(data) : data }
}

describe('the stored form of events', () => {
  test.each(types)('of %s is read as it was pinned, and written back to the same data', (type) => {
    const { schema } = catalogue[type]
    const text = golden(type, schema)
    const fact = decodeFact(type, stored(text, schema))
    expect(fact).toMatchObject({ type, schema })
    expect(JSON.parse(encodeData(fact.data))).toEqual(JSON.parse(text))
    // The pinned data says everything that the type can say: no member is left to chance.
    expect(Object.keys(fact.data).toSorted()).toEqual(Object.keys(JSON.parse(text)).toSorted())
  })

  test('is pinned for no type that is unknown', () => {
    const pinned = readdirSync(join(projectRoot, 'fixtures/events')).map((name) => name.split('.')[0] ?? '')
    expect(pinned.filter((type) => !isFactType(type))).toEqual([])
  })

  test.each(types)('of %s loses nothing, whatever the data', (type) => {
    fc.assert(
      fc.property(anyData(type), (data) => {
        const text = encodeData(data)
        const fact = decodeFact(type, stored(text, catalogue[type].schema))
        expect(fact.data).toEqual(data)
        expect(encodeData(fact.data)).toBe(text)
      }),
      { numRuns: 25 },
    )
  })

  test('of 64-bit numbers is exact from end to end', () => {
    const min = -(2n ** 63n)
    const max = 2n ** 63n - 1n
    for (const byMs of [min, max, 0n, -1n, 2n ** 53n + 1n]) {
      const jump = { oldUs: byMs, newUs: null, differenceUs: byMs }
      expect(decodeFact('ClockJumped', stored(encodeData(jump), 2))).toEqual(newFact('ClockJumped', jump))
    }
    expect(encodeData({ byMs: min })).toBe('{"byMs":"-9223372036854775808"}')
  })
})

describe('encodeData()', () => {
  test.each([
    [
      'a number over 64 bits',
      { sizeBytes: 2n ** 63n },
      'Cannot store sizeBytes = 9223372036854775808: it does not fit',
    ],
    ['one below', { a: { sizeBytes: -(2n ** 63n) - 1n } }, 'Cannot store sizeBytes = -9223372036854775809'],
    ['no number', { durationMs: Number.NaN }, 'Cannot store durationMs = NaN'],
    ['an endless one', { durationMs: Number.POSITIVE_INFINITY }, 'Cannot store durationMs = Infinity'],
  ])('refuses %s, which nobody could read back', (_what, data, says) => {
    expect(() => encodeData(data)).toThrow(says)
  })
})

describe('decodeFact()', () => {
  const jump = '{"byMs":"1"}'
  const good = { type: 'ClockJumped', schema: 1, data: jump }

  test.each([
    [{ type: 'ClockStopped' }, 'Cannot read ClockStopped version 1: it is not in the catalogue'],
    [{ type: 'toString' }, 'Cannot read toString version 1: it is not in the catalogue'],
    [{ schema: 3 }, 'Cannot read ClockJumped version 3: this program knows versions 1 to 2'],
    [{ data: '{' }, 'Cannot read ClockJumped version 1: its data is not UTF-8 JSON'],
    [{ data: '' }, 'Cannot read ClockJumped version 1: its data is not UTF-8 JSON'],
    [{ data: Buffer.from([0x22, 0xff, 0x22]) }, 'Cannot read ClockJumped version 1: its data is not UTF-8 JSON'],
    [{ data: 'null' }, 'Cannot read ClockJumped version 1: data: Invalid type'],
    [{ data: '{}' }, 'Cannot read ClockJumped version 1: byMs: Invalid key'],
    [{ data: '{"byMs":1}' }, 'Cannot read ClockJumped version 1: byMs: Invalid type'],
    [{ data: '{"byMs":"9223372036854775808"}' }, 'Cannot read ClockJumped version 1: byMs: Invalid 64-bit number'],
    [{ data: '{"byMs":"-9223372036854775809"}' }, 'Cannot read ClockJumped version 1: byMs: Invalid 64-bit number'],
    [{ data: '{"byMs":"01"}' }, 'Cannot read ClockJumped version 1: byMs: Invalid format'],
    [{ data: '{"byMs":"-0"}' }, 'Cannot read ClockJumped version 1: byMs: Invalid format'],
    [{ data: '{"byMs":"1e3"}' }, 'Cannot read ClockJumped version 1: byMs: Invalid format'],
  ])('refuses %j in words that say which and why', (change, says) => {
    const { type, schema, data } = { ...good, ...change }
    const read = () => decodeFact(type, stored(data, schema))
    expect(read).toThrow(UnreadableFactError)
    expect(read).toThrow(says)
  })

  test('names the event by its place in the log where it is known', () => {
    const event = { ...stored(jump, 7), stream: 'node-n', position: 123n }
    expect(() => decodeFact('ClockJumped', event)).toThrow(
      'Cannot read ClockJumped version 7 @123 of stream "node-n": this program knows versions 1 to 2',
    )
  })

  test('names the place of what does not fit, deep in the data', () => {
    const text = golden('BackingChainDetected', 1)
    expect(() => decodeFact('BackingChainDetected', stored(text.replace('"qcow2"', '"vmdk"')))).toThrow(
      /^Cannot read BackingChainDetected version 1: layers\.0\.format: /,
    )
  })
})

describe('metadata', () => {
  const pinned =
    '{"hostId":"h","occurredAtUs":"9223372036854775807","actor":{"uid":0,"gid":0,"pid":1,"program":"virsh","address":"unix","authentication":"peer"},"procedure":"DOMAIN_CREATE","commandId":"c","correlationId":"c","causationId":null,"capsId":"v","reason":"CHG-1"}'

  test('is read as it was pinned, and written back to the same bytes', () => {
    expect(encodeMetadata(decodeMetadata(Buffer.from(pinned)))).toBe(pinned)
  })

  test('loses nothing', () => {
    const program = fc.string({ unit: 'binary' })
    const reason = fc.option(program, { nil: null })
    fc.assert(
      fc.property(fc.record({ occurredAtUs: anyInt64, pid: fc.nat(), program, reason }), (given) => {
        const metadata = decodeMetadata(Buffer.from(pinned))
        const { pid, program: name, ...others } = given
        const changed = { ...metadata, ...others, actor: { ...metadata.actor, pid, program: name } }
        expect(decodeMetadata(Buffer.from(encodeMetadata(changed)))).toEqual(changed)
      }),
    )
  })

  test.each(['{}', 'null', '{"hostId":1}', ''])('is refused as %j', (text) => {
    expect(() => decodeMetadata(Buffer.from(text))).toThrow()
  })
})

describe('stream names', () => {
  test('give their category back, whatever the id holds', () => {
    expect(domainStream('6b8b4567')).toBe('domain-6b8b4567')
    const names = [domainStream('a-b'), claimStream('name', 'a-b-c'), emulatorStream('x'), nodeStream('n')]
    expect(names.map(categoryOf)).toEqual(['domain', 'name', 'emulator', 'node'])
    expect(categoryOf('nodash')).toBe('nodash')
  })
})
