import type { XmlAttribute, XmlElement, XmlNode } from './xml-node.ts'
import { isBlank } from './xml-node.ts'

/** How a document is laid out. */
export interface PrintOptions {
  /** Spaces per level; absent: no white space is added or left out. */
  readonly indent?: number
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
  '\n': '&#10;',
  '\t': '&#9;',
  '\r': '&#13;',
}
const replace = (character: string): string => escapes[character] ?? character

/** Escapes character data as libvirt does: quotes too. A carriage return would be read back as a newline, so it becomes a reference. */
function escapeText(text: string): string {
  return /[&<>'"\r]/.test(text) ? text.replace(/[&<>'"\r]/g, replace) : text
}

/** Escapes an attribute value. Tabs and newlines would be read back as spaces, so they become references. */
function escapeAttribute(value: string): string {
  return /[&<>'"\n\t\r]/.test(value) ? value.replace(/[&<>'"\n\t\r]/g, replace) : value
}

/**
 * Prints an element. With `indent` in libvirt's layout: single quotes, one element a line, text beside its tags, a newline
 * at the end. Without, exactly the nodes of the tree: `parseXml(printXml(x))` equals x.
 */
export function printXml(element: XmlElement, options: PrintOptions = {}): string {
  if (options.indent === undefined) return exact(element, "'")
  return block(element, { unit: ' '.repeat(options.indent), margin: '' })
}

interface Layout {
  readonly unit: string
  readonly margin: string
}

function tag(element: XmlElement, quote: string): string {
  let start = `<${element.name}`
  for (const attribute of element.attributes) start += printAttribute(attribute, quote)
  return start
}

function printAttribute(attribute: XmlAttribute, quote: string): string {
  const value =
    quote === '"' ? escapeAttribute(attribute.value).replaceAll('&apos;', "'") : escapeAttribute(attribute.value)
  return ` ${attribute.name}=${quote}${value}${quote}`
}

function exact(node: XmlNode, quote: string): string {
  switch (node.kind) {
    case 'text':
      return quote === '"' ? verbatimText(node.text) : escapeText(node.text)
    case 'cdata':
      return `<![CDATA[${node.text}]]>`
    case 'comment':
      return `<!--${node.text}-->`
    case 'instruction':
      return node.text === '' ? `<?${node.target}?>` : `<?${node.target} ${node.text}?>`
    case 'element': {
      const start = tag(node, quote)
      if (node.children.length === 0) return `${start}/>`
      let inside = ''
      for (const child of node.children) inside += exact(child, quote)
      return `${start}>${inside}</${node.name}>`
    }
  }
}

/** Text of metadata is printed by libxml2 on the reference: quotes stay bare there. */
function verbatimText(text: string): string {
  return escapeText(text).replaceAll('&apos;', "'").replaceAll('&quot;', '"')
}

function block(element: XmlElement, layout: Layout): string {
  const { margin, unit } = layout
  if (element.verbatim === true) return `${margin}${exact(element, '"')}\n`
  const start = margin + tag(element, "'")
  const { children } = element
  if (children.length === 0) return element.open === true ? `${start}>\n${margin}</${element.name}>\n` : `${start}/>\n`
  let nested = false
  let text = false
  for (const node of children) {
    if (node.kind !== 'text') nested = nested || node.kind !== 'cdata'
    if (node.kind === 'cdata' || (node.kind === 'text' && !isBlank(node.text))) text = true
  }
  if (text || !nested) {
    // Beside text every white space counts, so such content is printed as it is.
    let inside = ''
    for (const child of children) inside += exact(child, "'")
    return `${start}>${inside}</${element.name}>\n`
  }
  let inside = ''
  const deeper = { unit, margin: margin + unit }
  for (const child of children) {
    if (child.kind === 'element') inside += block(child, deeper)
    else if (child.kind !== 'text') inside += `${deeper.margin}${exact(child, "'")}\n`
  }
  return `${start}>\n${inside}${margin}</${element.name}>\n`
}
