import { describe, expect, test } from 'vitest'
import { parseXml } from '../../src/xml/parse-xml.ts'
import { XmlError, type XmlRule } from '../../src/xml/xml-error.ts'
import { attributeOf, childOf, textOf } from '../../src/xml/xml-node.ts'

function refusal(document: Uint8Array | string): XmlError {
  try {
    parseXml(document)
  } catch (error) {
    if (error instanceof XmlError) return error
    throw error
  }
  throw new Error('the document was accepted')
}

const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values)
const refused: readonly (readonly [what: string, document: Uint8Array | string, rule: XmlRule])[] = [
  ['an empty document', '', 'one-root'],
  ['nothing but a comment', '<!-- x -->', 'one-root'],
  ['two roots', '<a/><b/>', 'one-root'],
  ['two roots with content', '<a></a><a></a>', 'one-root'],
  ['text after the root', '<a/>x', 'text-outside-root'],
  ['text before the root', 'x<a/>', 'text-outside-root'],
  ['CDATA after the root', '<a/><![CDATA[]]>', 'text-outside-root'],
  ['a reference after the root', '<a/>&#32;', 'text-outside-root'],
  ['broken UTF-8', bytes(0x3c, 0x61, 0x3e, 0xc3, 0x28, 0x3c, 0x2f, 0x61, 0x3e), 'encoding'],
  ['an overlong UTF-8 sequence', bytes(0x3c, 0xc0, 0xaf, 0x3e), 'encoding'],
  ['UTF-16', bytes(0xff, 0xfe, 0x3c, 0x00), 'encoding'],
  ['another declared encoding', '<?xml version="1.0" encoding="ISO-8859-1"?><a/>', 'encoding'],
  ['a lone surrogate', '<a>\ud800</a>', 'character'],
  ['NUL', '<a>\0</a>', 'character'],
  ['a control character', '<a>\u0007</a>', 'character'],
  ['U+FFFF', '<a>\uffff</a>', 'character'],
  ['NUL as a reference', '<a>&#0;</a>', 'character'],
  ['NUL as a hexadecimal reference', '<a>&#x0;</a>', 'character'],
  ['a control character as a reference', '<a k="&#7;"/>', 'character'],
  ['a surrogate as a reference', '<a>&#xD800;</a>', 'character'],
  ['a reference beyond Unicode', '<a>&#x110000;</a>', 'character'],
  ['an undefined entity', '<a>&nbsp;</a>', 'entity'],
  ['an undefined entity in an attribute', '<a k="&x;"/>', 'entity'],
  ['an entity named like a property', '<a>&constructor;</a>', 'entity'],
  ['a bare ampersand', '<a>a & b</a>', 'entity'],
  ['an ampersand at the end', '<a>&', 'entity'],
  ['a DOCTYPE', '<!DOCTYPE a><a/>', 'doctype'],
  ['a DOCTYPE with entities', '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', 'doctype'],
  ['"<" in an attribute', '<a k="<"/>', 'syntax'],
  ['a mismatched end tag', '<a><b></a></b>', 'tag-mismatch'],
  ['an end tag alone', '</a>', 'tag-mismatch'],
  ['end tags of different case', '<a></A>', 'tag-mismatch'],
  ['an unclosed element', '<a><b></b>', 'unclosed'],
  ['an unclosed tag', '<a k="v"', 'unclosed'],
  ['an unclosed attribute', '<a k="v>', 'unclosed'],
  ['an unclosed comment', '<a><!-- </a>', 'unclosed'],
  ['an unclosed CDATA section', '<a><![CDATA[ </a>', 'unclosed'],
  ['a repeated attribute', '<a k="1" k="2"/>', 'duplicate-attribute'],
  [
    'a repeated attribute among many',
    `<a ${Array.from({ length: 40 }, (_, n) => `k${n}=""`).join(' ')} k7=""/>`,
    'duplicate-attribute',
  ],
  ['an attribute without quotes', '<a k=v/>', 'syntax'],
  ['an attribute without a value', '<a k/>', 'syntax'],
  ['attributes without space between', '<a k="1"l="2"/>', 'syntax'],
  ['"]]>" in text', '<a>]]></a>', 'syntax'],
  ['"--" in a comment', '<a><!-- -- --></a>', 'syntax'],
  ['a tag without a name', '<a>< b/></a>', 'syntax'],
  ['a name that starts with a digit', '<1/>', 'syntax'],
  ['a second XML declaration', '<a><?xml version="1.0"?></a>', 'syntax'],
  ['an XML declaration behind a space', ' <?xml version="1.0"?><a/>', 'syntax'],
  ['a malformed XML declaration', '<?xml encoding="UTF-8"?><a/>', 'syntax'],
  ['a parameter entity', '<!ENTITY x "y"><a/>', 'syntax'],
  ['257 levels', '<a>'.repeat(257) + '</a>'.repeat(257), 'depth'],
  ['more than 250,000 nodes', `<a>${'<b/>'.repeat(250_001)}</a>`, 'node-count'],
  ['4 MiB + 1 of text', `<a>${'x'.repeat(4 * 1024 * 1024 - 6)}</a>`, 'size'],
  ['4 MiB + 1 of bytes', new Uint8Array(4 * 1024 * 1024 + 1), 'size'],
  ['4 MiB + 1 in wide characters', `<a>${'é'.repeat(2 * 1024 * 1024)}</a>`, 'size'],
]

describe('parseXml() refuses', () => {
  test.each(refused)('%s', (_what, document, rule) => {
    const error = refusal(document)
    expect(error.rule).toBe(rule)
    expect(error.kind).toBe('xml_malformed')
    expect(error.message).toMatch(/^Cannot parse XML at line [0-9]+, column [0-9]+: ./)
  })
})

describe('parseXml()', () => {
  test('says where the fault is', () => {
    expect(refusal('<a>\n  <b>\n    </c>\n</a>')).toMatchObject({ line: 3, column: 5 })
    expect(refusal('<a/>\n\n  x').message).toBe(
      'Cannot parse XML at line 3, column 3: there is text after the root element',
    )
  })

  test('keeps order, prefixes, white space, comments, CDATA and instructions as written', () => {
    const root = parseXml('<p:a x="1" p:x="2"> t<!--c--><![CDATA[<&]]><?do  it ?><b/>u </p:a>')
    expect(root).toEqual({
      kind: 'element',
      name: 'p:a',
      attributes: [
        { name: 'x', value: '1' },
        { name: 'p:x', value: '2' },
      ],
      children: [
        { kind: 'text', text: ' t' },
        { kind: 'comment', text: 'c' },
        { kind: 'cdata', text: '<&' },
        { kind: 'instruction', target: 'do', text: 'it ' },
        { kind: 'element', name: 'b', attributes: [], children: [] },
        { kind: 'text', text: 'u ' },
      ],
    })
  })

  test('never turns text into a number', () => {
    const root = parseXml('<domain><name>007</name><title>1e3</title></domain>')
    const name = childOf(root, 'name')
    const title = childOf(root, 'title')
    expect(name && textOf(name)).toBe('007')
    expect(title && textOf(title)).toBe('1e3')
  })

  test('resolves the five entities and character references once', () => {
    const root = parseXml('<a k="&lt;&amp;amp;&quot;&apos;&#10;">&#x1F600;&gt;&#65;&amp;lt;</a>')
    expect(attributeOf(root, 'k')).toBe('<&amp;"\'\n')
    expect(textOf(root)).toBe('😀>A&lt;')
  })

  test('normalises line ends, and written white space in attributes only', () => {
    const root = parseXml('<a k="1\r\n2\t3&#9;&#13;4">x\r\ny\rz</a>')
    expect(attributeOf(root, 'k')).toBe('1 2 3\t\r4')
    expect(textOf(root)).toBe('x\ny\nz')
  })

  test('accepts a byte order mark, a declaration, and what stands around the root', () => {
    const text = '\ufeff<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n<!-- x --><?p?>\n<é/>\n<!-- y -->\n'
    expect(parseXml(text).name).toBe('é')
    expect(parseXml(Buffer.from(text)).name).toBe('é')
  })

  test('accepts exactly 4 MiB and exactly 256 levels', () => {
    expect(textOf(parseXml(`<a>${'x'.repeat(4 * 1024 * 1024 - 7)}</a>`))).toHaveLength(4 * 1024 * 1024 - 7)
    expect(parseXml('<a>'.repeat(256) + '</a>'.repeat(256)).name).toBe('a')
  })

  test.each([
    ['siblings', '<b/>', 240_000],
    ['ampersands', '&amp;', 800_000],
    ['texts between siblings', 'x<b/>', 120_000],
    ['comments', '<!---->', 240_000],
    ['attributes with references and tabs', '<b k="&lt;\t"/>', 120_000],
  ])('reads a flood of %s in linear time', (_what, part, count) => {
    const started = performance.now()
    parseXml(`<a>${part.repeat(count)}</a>`)
    // Linear takes under half a second, quadratic minutes: the bound leaves room for a loaded machine.
    expect(performance.now() - started).toBeLessThan(5000)
  })
})
