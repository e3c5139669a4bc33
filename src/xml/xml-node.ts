/** One attribute as written, prefix included; the value has its references resolved. */
export interface XmlAttribute {
  readonly name: string
  readonly value: string
}

/** An element with everything it holds, in document order. Names keep their prefix verbatim. */
export interface XmlElement {
  readonly kind: 'element'
  readonly name: string
  readonly attributes: readonly XmlAttribute[]
  readonly children: readonly XmlNode[]
  /** Set by who builds the element: print it as it was read, white space included. */
  readonly verbatim?: true
  /** Set by who builds the element: print a start and an end tag even when it is empty. */
  readonly open?: true
}

/** Character data; `cdata` remembers that it was written as a CDATA section. */
export interface XmlText {
  readonly kind: 'text' | 'cdata'
  readonly text: string
}

/** A comment, without its delimiters. */
export interface XmlComment {
  readonly kind: 'comment'
  readonly text: string
}

/** A processing instruction inside the root element. */
export interface XmlInstruction {
  readonly kind: 'instruction'
  readonly target: string
  readonly text: string
}

/** What an element may contain. */
export type XmlNode = XmlElement | XmlText | XmlComment | XmlInstruction

const none: readonly never[] = []

/** Builds an element; absent lists share one empty array. */
export function xmlElement(
  name: string,
  attributes: readonly XmlAttribute[] = none,
  children: readonly XmlNode[] = none,
): XmlElement {
  return { kind: 'element', name, attributes, children }
}

/** Value of an attribute, or undefined when the element does not have it. */
export function attributeOf(element: XmlElement, name: string): string | undefined {
  for (const attribute of element.attributes) if (attribute.name === name) return attribute.value
  return undefined
}

/** First child element of that name. */
export function childOf(element: XmlElement, name: string): XmlElement | undefined {
  for (const node of element.children) if (node.kind === 'element' && node.name === name) return node
  return undefined
}

/** All child elements, or those of one name, in document order. */
export function childrenOf(element: XmlElement, name?: string): XmlElement[] {
  const found: XmlElement[] = []
  for (const node of element.children) {
    if (node.kind === 'element' && (name === undefined || node.name === name)) found.push(node)
  }
  return found
}

/** Character data directly inside the element, comments and children left out. */
export function textOf(element: XmlElement): string {
  const [first] = element.children
  if (first !== undefined && first.kind === 'text' && element.children.length === 1) return first.text
  let text = ''
  for (const node of element.children) if (node.kind === 'text' || node.kind === 'cdata') text += node.text
  return text
}

/** Whether a text holds nothing but the four white space characters of XML. */
export function isBlank(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x09 && code !== 0x0d) return false
  }
  return true
}
