import { isBlank, type XmlAttribute, type XmlElement, type XmlNode } from './xml-node.ts'

/** What an element held besides its declared parts: kept as it was and printed back behind them. */
export interface Kept {
  readonly attributes: readonly XmlAttribute[]
  readonly elements: readonly XmlElement[]
}

/**
 * An element to be kept without being understood: comments and the white space between elements go, all else stays. Text
 * that stands beside elements makes all of it significant, so such content is left untouched.
 */
export function keepElement(element: XmlElement): XmlElement {
  const { children } = element
  if (children.length === 0 || isMixed(children)) return element
  const kept: XmlNode[] = []
  let hasElement = false
  for (const node of children) hasElement = hasElement || node.kind === 'element'
  for (const node of children) {
    if (node.kind === 'element') kept.push(keepElement(node))
    else if (!hasElement && (node.kind === 'cdata' || (node.kind === 'text' && !isBlank(node.text)))) kept.push(node)
  }
  return { ...element, children: kept }
}

function isMixed(children: readonly XmlNode[]): boolean {
  let element = false
  let text = false
  for (const node of children) {
    if (node.kind === 'element') element = true
    else if (node.kind === 'cdata' || (node.kind === 'text' && !isBlank(node.text))) text = true
  }
  return element && text
}

/** What of an element no part claimed, or undefined when there is nothing. */
export function keptOf(
  element: XmlElement,
  known: { readonly attributes: ReadonlySet<string>; readonly elements: ReadonlySet<string> },
): Kept | undefined {
  let attributes: XmlAttribute[] | undefined
  let elements: XmlElement[] | undefined
  for (const attribute of element.attributes) {
    if (!known.attributes.has(attribute.name)) (attributes ??= []).push(attribute)
  }
  for (const node of element.children) {
    if (node.kind === 'element' && !known.elements.has(node.name)) (elements ??= []).push(keepElement(node))
  }
  if (attributes === undefined && elements === undefined) return undefined
  return { attributes: attributes ?? [], elements: elements ?? [] }
}
