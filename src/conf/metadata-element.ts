import { printXml } from '../xml/print-xml.ts'
import { isBlank, type XmlElement, type XmlNode } from '../xml/xml-node.ts'
import type { DomainDef } from './domain-def.ts'

/**
 * The element of `<metadata>` that belongs to a namespace, printed; undefined where there is none. As clients get it from
 * libvirtd: names of that namespace without their prefix and its declaration, other namespaces as they are.
 */
export function metadataElement(definition: DomainDef, uri: string | null): string | undefined {
  for (const node of definition.metadata ?? []) {
    if (node.kind !== 'element' || namespaceOf(node) !== uri) continue
    return printXml(withoutPrefix(node, prefixOf(node.name)), { indent: 2 }).trimEnd()
  }
  return undefined
}

function namespaceOf(element: XmlElement): string | undefined {
  const wanted = declarationOf(prefixOf(element.name))
  return element.attributes.find((attribute) => attribute.name === wanted)?.value
}

const declarationOf = (prefix: string): string => (prefix === '' ? 'xmlns' : `xmlns:${prefix}`)

/** The part of a name before its colon; empty where it has none. */
function prefixOf(name: string): string {
  return name.slice(0, Math.max(0, name.indexOf(':')))
}

function withoutPrefix(element: XmlElement, prefix: string): XmlElement {
  const bare = (name: string): string =>
    prefix !== '' && name.startsWith(`${prefix}:`) ? name.slice(prefix.length + 1) : name
  const inside = (node: XmlNode): XmlNode => (node.kind === 'element' ? withoutPrefix(node, prefix) : node)
  // White space between elements is the layout of the text that was read; it is laid out anew.
  const mixed = element.children.some((node) => (node.kind === 'text' || node.kind === 'cdata') && !isBlank(node.text))
  const kept = mixed ? element.children : element.children.filter((node) => node.kind !== 'text')
  const declaration = declarationOf(prefix)
  const attributes = element.attributes
    .filter(({ name }) => name !== declaration)
    .map(({ name, value }) => ({ name: bare(name), value }))
  return { kind: 'element', name: bare(element.name), attributes, children: kept.map(inside) }
}
