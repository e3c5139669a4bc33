import { positionAt, XmlError, type XmlRule } from './xml-error.ts'

const predefined = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['amp', '&'],
  ['apos', "'"],
  ['quot', '"'],
])

/** Whether a code point may occur in an XML 1.0 document at all (production Char). */
export function isXmlChar(point: number): boolean {
  if (point < 0x20) return point === 0x09 || point === 0x0a || point === 0x0d
  return point <= 0xd7ff || (point >= 0xe000 && point <= 0xfffd) || (point >= 0x10000 && point <= 0x10ffff)
}

const forbidden = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/

/** Offset of the first character that XML forbids, or -1. */
export function forbiddenAt(text: string): number {
  const at = text.search(forbidden)
  if (at !== -1 || text.isWellFormed()) return at
  return text.search(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/)
}

/** Fails at an offset of the document with a rule and what is wrong there. */
export function fail(text: string, offset: number, because: { readonly rule: XmlRule; readonly what: string }): never {
  throw new XmlError(because.rule, positionAt(text, offset), because.what)
}

/** Told where and why a reference is wrong; never returns. */
export type ReferenceFailure = (offset: number, because: { readonly rule: XmlRule; readonly what: string }) => never

function characterReference(digits: string): string | undefined {
  const hex = digits.startsWith('x')
  const valid = hex ? /^x[0-9A-Fa-f]{1,8}$/.test(digits) : /^[0-9]{1,10}$/.test(digits)
  if (!valid) return undefined
  const point = Number.parseInt(hex ? digits.slice(1) : digits, hex ? 16 : 10)
  return isXmlChar(point) ? String.fromCodePoint(point) : undefined
}

/** Replaces character references and the five predefined entities. Other entities do not exist: there is no DOCTYPE. */
export function resolveReferences(raw: string, failAt: ReferenceFailure): string {
  let at = raw.indexOf('&')
  if (at === -1) return raw
  let result = ''
  let from = 0
  for (; at !== -1; at = raw.indexOf('&', from)) {
    // No reference is longer than a dozen characters: without this bound a text full of "&" costs quadratic time.
    const reference = /^&([^;&<\s]{1,32});/.exec(raw.slice(at, at + 40))
    if (reference === null) failAt(at, { rule: 'entity', what: '"&" starts a reference that has no ";"' })
    const name = reference[1] ?? ''
    const value = name.startsWith('#') ? characterReference(name.slice(1)) : predefined.get(name)
    if (value === undefined) {
      const what = name.startsWith('#') ? `"&${name};" is not a character of XML` : `entity "&${name};" is not defined`
      failAt(at, { rule: name.startsWith('#') ? 'character' : 'entity', what })
    }
    result += raw.slice(from, at) + value
    from = at + name.length + 2
  }
  return result + raw.slice(from)
}
