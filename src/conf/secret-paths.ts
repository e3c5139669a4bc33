import type { XmlElement, XmlNode } from '../xml/xml-node.ts'

/** Where definitions hold secrets: an attribute of an element, or an element with all it holds. */
export const secretPaths: readonly { readonly element: string; readonly attributes?: readonly string[] }[] = [
  { element: 'graphics', attributes: ['passwd', 'passwdValidTo', 'connected'] },
  { element: 'cookies' },
]

const whole = new Set(secretPaths.filter((row) => row.attributes === undefined).map((row) => row.element))
const attributes = new Map(secretPaths.map((row) => [row.element, new Set(row.attributes)]))

/** The element without secrets; parts without any are shared, not copied. Metadata belongs to the clients and is not searched. */
export function withoutSecrets(element: XmlElement): XmlElement {
  if (element.verbatim === true) return element
  const secret = attributes.get(element.name)
  const kept = secret === undefined ? element.attributes : element.attributes.filter(({ name }) => !secret.has(name))
  let children: XmlNode[] | undefined
  for (const [index, node] of element.children.entries()) {
    if (node.kind !== 'element') {
      children?.push(node)
      continue
    }
    const drop = whole.has(node.name)
    const clean = drop ? node : withoutSecrets(node)
    if ((drop || clean !== node) && children === undefined) children = element.children.slice(0, index)
    if (!drop) children?.push(clean)
  }
  if (children === undefined && kept.length === element.attributes.length) return element
  return { ...element, attributes: kept, children: children ?? element.children }
}
