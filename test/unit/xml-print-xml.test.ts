import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseXml } from '../../src/xml/parse-xml.ts'
import { printXml } from '../../src/xml/print-xml.ts'
import type { XmlElement, XmlNode } from '../../src/xml/xml-node.ts'
import { isXmlChar } from '../../src/xml/xml-text.ts'

const character = fc
  .oneof(
    fc.constantFrom(...Array.from('&<>\'"\n\t\r ]-?;#ax')),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  )
  .filter((one) => Array.from(one).every((point) => isXmlChar(point.codePointAt(0) ?? 0)))
const content = fc.array(character, { maxLength: 12 }).map((all) => all.join(''))
const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.-]{0,6}(:[a-z]{1,4})?$/)
const attributes = fc.uniqueArray(fc.record({ name, value: content }), { selector: (one) => one.name, maxLength: 20 })

/** Two texts side by side are read back as one, so a tree holds none. */
function withoutAdjacentTexts(nodes: readonly XmlNode[]): XmlNode[] {
  return nodes.filter((node, index) => node.kind !== 'text' || nodes[index - 1]?.kind !== 'text')
}

const noLineEnd = (text: string): string => text.replaceAll('\r', '')
const { element } = fc.letrec<{ element: XmlElement; node: XmlNode }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    content.filter((text) => text !== '').map((text): XmlNode => ({ kind: 'text', text })),
    content.map((text): XmlNode => ({ kind: 'cdata', text: noLineEnd(text).replaceAll(']]>', '') })),
    content.map((text): XmlNode => ({ kind: 'comment', text: noLineEnd(text).replaceAll('-', '') })),
    name
      .filter((target) => target.toLowerCase() !== 'xml')
      .map((target): XmlNode => ({ kind: 'instruction', target, text: 'it goes' })),
    tie('element'),
  ),
  element: fc
    .record({ name, attributes, children: fc.array(tie('node'), { maxLength: 5 }) })
    .map((made): XmlElement => ({ kind: 'element', ...made, children: withoutAdjacentTexts(made.children) })),
}))

describe('printXml()', () => {
  test('is undone by parseXml(), whatever the tree holds', () => {
    fc.assert(
      fc.property(element, (tree) => {
        expect(parseXml(printXml(tree))).toEqual(tree)
        expect(parseXml(Buffer.from(printXml(tree)))).toEqual(tree)
      }),
      { numRuns: 300 },
    )
  })

  test('indented is a fixed point: printing what was read back gives the same text', () => {
    fc.assert(
      fc.property(element, (tree) => {
        const once = printXml(tree, { indent: 2 })
        expect(printXml(parseXml(once), { indent: 2 })).toBe(once)
      }),
      { numRuns: 300 },
    )
  })

  test('prints the layout that clients know', () => {
    const tree = parseXml(`<a k="it's"><b/><c>x > "y"</c><!-- z --><d><e/></d></a>`)
    expect(printXml(tree, { indent: 2 })).toBe(
      `<a k='it&apos;s'>\n  <b/>\n  <c>x &gt; &quot;y&quot;</c>\n  <!-- z -->\n  <d>\n    <e/>\n  </d>\n</a>\n`,
    )
  })
})
