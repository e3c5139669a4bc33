import { describe, expect, expectTypeOf, test } from 'vitest'
import { element, type Parsed, taggedElement } from '../../src/xml/codec.ts'
import { DefinitionError } from '../../src/xml/definition-error.ts'
import { parseXml } from '../../src/xml/parse-xml.ts'
import { attribute, child, children, flag, optional, textChild, verbatim, withDefault } from '../../src/xml/parts.ts'
import { printXml } from '../../src/xml/print-xml.ts'
import { kibOf, scaleToBytes } from '../../src/xml/scaled-memory.ts'
import {
  anyText,
  hex,
  macAddress,
  oneOf,
  onOff,
  unsignedInt,
  unsignedLong,
  uuidText,
} from '../../src/xml/value-codec.ts'

const wheel = element('wheel', { size: attribute('size', unsignedInt), spare: optional(attribute('spare', onOff)) })
const car = element('car', {
  kind: withDefault(attribute('kind', oneOf('small', 'big')), 'small'),
  owner: optional(textChild('owner', anyText)),
  motor: verbatim('motor'),
  wheels: children(wheel),
  radio: flag('radio'),
})

function refusal(xml: string): DefinitionError {
  try {
    car.read(parseXml(xml), 'car')
  } catch (error) {
    if (error instanceof DefinitionError) return error
    throw error
  }
  throw new Error('the element was accepted')
}

describe('element()', () => {
  test('gives the type of its value', () => {
    expectTypeOf<Parsed<typeof wheel>['size']>().toEqualTypeOf<number>()
    expectTypeOf<Parsed<typeof wheel>['spare']>().toEqualTypeOf<boolean | undefined>()
    expectTypeOf<Parsed<typeof car>['kind']>().toEqualTypeOf<'small' | 'big'>()
    expectTypeOf<Parsed<typeof car>['radio']>().toEqualTypeOf<true | undefined>()
  })

  test('reads its parts in any order and prints them in its own', () => {
    const value = car.read(
      parseXml('<car><radio/><wheel spare="on" size="4"/><owner>007</owner><wheel size="5"/></car>'),
      'car',
    )
    expect(value).toEqual({ kind: 'small', owner: '007', wheels: [{ size: 4, spare: true }, { size: 5 }], radio: true })
    expect(printXml(car.write(value))).toBe(
      "<car kind='small'><owner>007</owner><wheel size='4' spare='on'/><wheel size='5'/><radio/></car>",
    )
  })

  test('keeps what it does not know, prints it back and names it', () => {
    const source =
      "<car kind='big' colour='red'><motor><v8/></motor><wheel size='4' rim='alu'/><roof open='yes'>cloth</roof></car>"
    const value = car.read(parseXml(source), 'car')
    expect(printXml(car.write(value))).toBe(source)
    const kept: string[] = []
    car.listKept(value, 'car', kept)
    expect(kept).toEqual(['car/motor', 'car/wheel/@rim', 'car/@colour', 'car/roof'])
  })

  test.each([
    [
      'a wrong word',
      "<car kind='huge'/>",
      'car',
      'one-of',
      'Cannot read car: attribute "kind" is "huge", it must be one of small, big',
    ],
    [
      'a missing attribute',
      '<car><wheel/></car>',
      'car/wheel',
      'required',
      'Cannot read car/wheel: attribute "size" is missing',
    ],
    ['a negative number', "<car><wheel size='-1'/></car>", 'car/wheel', 'unsigned-int', ''],
    ['a number too large', "<car><wheel size='4294967296'/></car>", 'car/wheel', 'unsigned-int', ''],
    ['an element that occurs twice', '<car><owner>a</owner><owner>b</owner></car>', 'car/owner', 'once', ''],
    ['text between elements', '<car>brumm<radio/></car>', 'car', 'no-text', ''],
    ['content where there can be none', "<car><radio on='1'/></car>", 'car/radio', 'empty', ''],
    ['elements where only text can be', '<car><owner>a<b/></owner></car>', 'car/owner', 'only-text', ''],
  ])('refuses %s, naming element and rule', (...[, xml, path, rule, message]) => {
    const error = refusal(xml)
    expect(error).toMatchObject({ element: path, rule, kind: 'xml_error', subject: path })
    expect(error.message).toContain(message)
  })
})

describe('taggedElement()', () => {
  const place = taggedElement('place', 'type', {
    shelf: { row: attribute('row', hex(2)) },
    bin: { box: optional(attribute('box', unsignedInt)) },
  })

  test('gives a union tagged by its attribute', () => {
    const value = place.read(parseXml("<place row='10' type='shelf'/>"), 'place')
    expect(value).toEqual({ type: 'shelf', row: 10 })
    if (value.type === 'shelf') expectTypeOf(value.row).toEqualTypeOf<number>()
    expect(printXml(place.write(value))).toBe("<place type='shelf' row='0x0a'/>")
  })

  test('refuses a tag without a row', () => {
    const nested = element('hall', { place: child(place) })
    expect(() => nested.read(parseXml("<hall><place type='attic'/></hall>"), 'hall')).toThrow(
      'Cannot read hall/place: attribute "type" is "attic", it must be one of shelf, bin',
    )
  })
})

describe('values', () => {
  test.each([
    [0n, 'b', 0n],
    [1n, 'bytes', 1n],
    [1n, 'KB', 1000n],
    [1n, 'k', 1024n],
    [1n, 'KiB', 1024n],
    [2n, 'MB', 2_000_000n],
    [2n, 'M', 2_097_152n],
    [1n, 'g', 1_073_741_824n],
    [1n, 'TiB', 1n << 40n],
    [1n, 'E', 1n << 60n],
    [1n, 'furlong', undefined],
  ])('scaleToBytes(%s, %s) is %s', (amount, unit, expected) => {
    expect(scaleToBytes(amount, unit)).toBe(expected)
  })

  test('kibOf() rounds up', () => {
    expect([kibOf(0n), kibOf(1n), kibOf(1024n), kibOf(1025n)]).toEqual([0n, 1n, 1n, 2n])
  })

  test('unsignedLong keeps all 64 bits', () => {
    expect(unsignedLong.parse('18446744073709551615')).toBe(18_446_744_073_709_551_615n)
    expect(unsignedLong.parse('18446744073709551616')).toBeUndefined()
  })

  test('uuidText takes any spelling of 32 digits and prints one', () => {
    expect(uuidText.parse('C7A5FDBDEDAF9455926AD65C16DB1809')).toBe('c7a5fdbd-edaf-9455-926a-d65c16db1809')
    expect(uuidText.parse('c7a5fdbd-edaf-9455-926a-d65c16db180')).toBeUndefined()
  })

  test('macAddress refuses multicast', () => {
    expect(macAddress.parse('52:54:0:A:B:C')).toBe('52:54:00:0a:0b:0c')
    expect(macAddress.parse('53:54:00:0a:0b:0c')).toBeUndefined()
  })
})
