import { positionAt, XmlError, type XmlRule } from './xml-error.ts'
import { nameEnd } from './xml-name.ts'
import type { XmlAttribute, XmlElement, XmlNode } from './xml-node.ts'
import { fail, forbiddenAt, resolveReferences } from './xml-text.ts'

/** How much of a document is accepted; see `defaultXmlLimits`. */
export interface XmlLimits {
  /** UTF-8 bytes of the whole document. */
  readonly maxBytes: number
  /** Elements open at the same time. */
  readonly maxDepth: number
  /** Elements, attributes, texts, comments and instructions together: bounds the memory of the tree. */
  readonly maxNodes: number
}

/** 4 MiB is the longest string the wire carries; no definition comes near the other two. */
export const defaultXmlLimits: XmlLimits = { maxBytes: 4 * 1024 * 1024, maxDepth: 256, maxNodes: 250_000 }

/**
 * Reads one XML document strictly and without loss: order, prefixes, white space, comments and CDATA stay as written.
 * Accepts no DOCTYPE, so no entity but the five predefined ones exists and nothing can expand. Time is linear in the size.
 * Throws XmlError with line, column and the rule that was broken.
 */
export function parseXml(document: Uint8Array | string, limits: Partial<XmlLimits> = {}): XmlElement {
  const bounds = { ...defaultXmlLimits, ...limits }
  return new Parser(decode(document, bounds), bounds).parse()
}

function decode(document: Uint8Array | string, limits: XmlLimits): string {
  const sizeBytes = typeof document === 'string' ? Buffer.byteLength(document) : document.byteLength
  const start = { line: 1, column: 1 }
  if (sizeBytes > limits.maxBytes) {
    throw new XmlError('size', start, `the document has ${sizeBytes} bytes, at most ${limits.maxBytes} are allowed`)
  }
  const text = typeof document === 'string' ? document.replace(/^\ufeff/, '') : decodeUtf8(document)
  const bad = forbiddenAt(text)
  if (bad !== -1) {
    const code = text.charCodeAt(bad).toString(16).toUpperCase().padStart(4, '0')
    throw new XmlError('character', positionAt(text, bad), `character U+${code} is not allowed in XML`)
  }
  return text.includes('\r') ? text.replaceAll('\r\n', '\n').replaceAll('\r', '\n') : text
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    const text = new TextDecoder('utf-8').decode(bytes)
    throw new XmlError('encoding', positionAt(text, text.indexOf('\ufffd')), 'the document is not valid UTF-8')
  }
}

interface OpenElement extends XmlElement {
  readonly children: XmlNode[]
}

const noAttributes: readonly XmlAttribute[] = []

class Parser {
  readonly #text: string
  readonly #limits: XmlLimits
  readonly #open: OpenElement[] = []
  #root: OpenElement | undefined
  #at = 0
  #nodes = 0

  constructor(text: string, limits: XmlLimits) {
    this.#text = text
    this.#limits = limits
  }

  parse(): XmlElement {
    this.#declaration()
    while (this.#at < this.#text.length) {
      if (this.#text.charCodeAt(this.#at) === 0x3c) this.#markup()
      else this.#characters()
    }
    const unclosed = this.#open.at(-1)
    if (unclosed !== undefined) this.#fail('unclosed', `<${unclosed.name}> is not closed`)
    if (this.#root === undefined) this.#fail('one-root', 'the document has no root element')
    return this.#root
  }

  #fail(rule: XmlRule, what: string, at = this.#at): never {
    fail(this.#text, at, { rule, what })
  }

  #declaration(): void {
    if (!/^<\?xml[ \t\n]/.test(this.#text.slice(0, 6))) return
    const end = this.#text.indexOf('?>')
    const declaration = end === -1 ? '' : this.#text.slice(0, end + 2)
    const pattern =
      /^<\?xml\s+version\s*=\s*(?:'1\.[0-9]+'|"1\.[0-9]+")(?:\s+encoding\s*=\s*(?:'([\w.-]+)'|"([\w.-]+)"))?(?:\s+standalone\s*=\s*(?:'(?:yes|no)'|"(?:yes|no)"))?\s*\?>$/
    // The bound keeps the pattern away from megabytes of white space.
    const match = declaration.length <= 200 ? pattern.exec(declaration) : null
    if (match === null) this.#fail('syntax', 'the XML declaration is malformed')
    const encoding = match[1] ?? match[2] ?? 'utf-8'
    if (!/^(?:utf-?8|us-ascii|ascii)$/i.test(encoding)) {
      this.#fail('encoding', `encoding "${encoding}" is not supported, the document must be UTF-8`)
    }
    this.#at = end + 2
  }

  #count(): void {
    this.#nodes++
    if (this.#nodes > this.#limits.maxNodes) {
      this.#fail('node-count', `the document has more than ${this.#limits.maxNodes} nodes`)
    }
  }

  #append(node: XmlNode): void {
    this.#count()
    this.#open.at(-1)?.children.push(node)
  }

  #characters(): void {
    const start = this.#at
    const next = this.#text.indexOf('<', start)
    const end = next === -1 ? this.#text.length : next
    // Everything below looks at the slice only: a search in the whole text from each node would cost quadratic time.
    const raw = this.#text.slice(start, end)
    if (this.#open.length === 0) {
      const bad = raw.search(/[^ \t\n]/)
      const where = this.#root === undefined ? 'before' : 'after'
      if (bad !== -1) this.#fail('text-outside-root', `there is text ${where} the root element`, start + bad)
    } else {
      const terminator = raw.indexOf(']]>')
      if (terminator !== -1) this.#fail('syntax', '"]]>" must not occur in text', start + terminator)
      this.#append({ kind: 'text', text: this.#resolve(raw, start) })
    }
    this.#at = end
  }

  #resolve(raw: string, start: number): string {
    if (!raw.includes('&')) return raw
    return resolveReferences(raw, (offset, because) => fail(this.#text, start + offset, because))
  }

  #markup(): void {
    const text = this.#text
    const code = text.charCodeAt(this.#at + 1)
    if (code === 0x2f) this.#endTag()
    else if (code === 0x3f) this.#instruction()
    else if (code !== 0x21) this.#startTag()
    else if (text.startsWith('<!--', this.#at)) this.#comment()
    else if (text.startsWith('<![CDATA[', this.#at)) this.#cdata()
    else if (text.startsWith('<!DOCTYPE', this.#at)) this.#fail('doctype', 'a DOCTYPE is not allowed')
    else this.#fail('syntax', '"<!" starts neither a comment nor a CDATA section')
  }

  #until(terminator: string, from: number, what: string): number {
    const end = this.#text.indexOf(terminator, from)
    if (end === -1) this.#fail('unclosed', `${what} is not closed`)
    return end
  }

  #comment(): void {
    const start = this.#at + 4
    const end = this.#until('--', start, 'a comment')
    if (this.#text.charCodeAt(end + 2) !== 0x3e) this.#fail('syntax', '"--" must not occur in a comment', end)
    this.#append({ kind: 'comment', text: this.#text.slice(start, end) })
    this.#at = end + 3
  }

  #cdata(): void {
    if (this.#open.length === 0) this.#fail('text-outside-root', 'there is a CDATA section outside the root element')
    const start = this.#at + 9
    const end = this.#until(']]>', start, 'a CDATA section')
    this.#append({ kind: 'cdata', text: this.#text.slice(start, end) })
    this.#at = end + 3
  }

  #instruction(): void {
    const end = this.#until('?>', this.#at + 2, 'a processing instruction')
    const afterName = nameEnd(this.#text, this.#at + 2)
    const target = this.#text.slice(this.#at + 2, afterName)
    if (target === '') this.#fail('syntax', 'a processing instruction has no name')
    if (target.toLowerCase() === 'xml')
      this.#fail('syntax', 'the XML declaration must be the first thing in the document')
    const start = this.#skipSpace(afterName)
    if (start === afterName && start !== end) this.#fail('syntax', `processing instruction "${target}" is malformed`)
    this.#append({ kind: 'instruction', target, text: start < end ? this.#text.slice(start, end) : '' })
    this.#at = end + 2
  }

  #endTag(): void {
    const start = this.#at + 2
    const end = nameEnd(this.#text, start)
    const element = this.#open.pop()
    const name = this.#text.slice(start, end)
    if (element === undefined) this.#fail('tag-mismatch', `</${name}> closes nothing`)
    if (name !== element.name) this.#fail('tag-mismatch', `</${name}> closes <${element.name}>`)
    const close = this.#skipSpace(end)
    if (this.#text.charCodeAt(close) !== 0x3e) this.#fail('syntax', `</${name} is not followed by ">"`, close)
    this.#at = close + 1
  }

  #startTag(): void {
    const start = this.#at + 1
    const end = nameEnd(this.#text, start)
    if (end === start) this.#fail('syntax', '"<" is not followed by a name')
    const name = this.#text.slice(start, end)
    if (this.#open.length === 0 && this.#root !== undefined) {
      this.#fail('one-root', `<${name}> is a second root element`)
    }
    if (this.#open.length >= this.#limits.maxDepth) {
      this.#fail('depth', `<${name}> is nested deeper than ${this.#limits.maxDepth} elements`)
    }
    this.#at = end
    const attributes = this.#attributes(name)
    const element: OpenElement = { kind: 'element', name, attributes, children: [] }
    this.#append(element)
    this.#root ??= element
    if (this.#text.charCodeAt(this.#at) === 0x2f) {
      if (this.#text.charCodeAt(this.#at + 1) !== 0x3e) this.#fail('syntax', '"/" is not followed by ">"')
      this.#at += 2
      return
    }
    this.#at += 1
    this.#open.push(element)
  }

  /** Leaves the position at the `/` or `>` that ends the tag. */
  #attributes(elementName: string): readonly XmlAttribute[] {
    let attributes: XmlAttribute[] | undefined
    let names: Set<string> | undefined
    for (;;) {
      const at = this.#skipSpace(this.#at)
      const code = this.#text.charCodeAt(at)
      if (code === 0x3e || code === 0x2f) {
        this.#at = at
        return attributes ?? noAttributes
      }
      if (at >= this.#text.length) this.#fail('unclosed', `the tag <${elementName}> is not closed`)
      if (at === this.#at) this.#fail('syntax', `white space must stand before an attribute of <${elementName}>`, at)
      const attribute = this.#attribute(at, elementName)
      attributes ??= []
      if (attributes.length === 16) names = new Set(attributes.map((known) => known.name))
      const repeated = names?.has(attribute.name) ?? attributes.some((known) => known.name === attribute.name)
      if (repeated)
        this.#fail('duplicate-attribute', `attribute "${attribute.name}" of <${elementName}> occurs twice`, at)
      names?.add(attribute.name)
      attributes.push(attribute)
      this.#count()
    }
  }

  #attribute(start: number, elementName: string): XmlAttribute {
    const text = this.#text
    const end = nameEnd(text, start)
    if (end === start) this.#fail('syntax', `<${elementName}> has a malformed attribute`, start)
    const name = text.slice(start, end)
    const equals = this.#skipSpace(end)
    const open = this.#skipSpace(equals + 1)
    const quote = text.charCodeAt(open)
    if (text.charCodeAt(equals) !== 0x3d || (quote !== 0x27 && quote !== 0x22)) {
      this.#fail('syntax', `attribute "${name}" of <${elementName}> has no quoted value`, equals)
    }
    const close = text.indexOf(quote === 0x27 ? "'" : '"', open + 1)
    if (close === -1) this.#fail('unclosed', `the value of attribute "${name}" is not closed`, open)
    this.#at = close + 1
    return { name, value: this.#attributeValue(name, open + 1, close) }
  }

  #attributeValue(name: string, start: number, end: number): string {
    const raw = this.#text.slice(start, end)
    const less = raw.indexOf('<')
    if (less !== -1) this.#fail('syntax', `"<" must not occur in the value of attribute "${name}"`, start + less)
    // Written white space becomes a space; a character reference to white space stays what it says.
    return this.#resolve(/[\t\n]/.test(raw) ? raw.replace(/[\t\n]/g, ' ') : raw, start)
  }

  #skipSpace(from: number): number {
    let at = from
    for (;;) {
      const code = this.#text.charCodeAt(at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x09) return at
      at++
    }
  }
}
