import { printXml } from '../xml/print-xml.ts'
import type { XmlElement } from '../xml/xml-node.ts'
import type { DomainDef } from './domain-def.ts'

/** The element of `<metadata>` that belongs to a namespace, printed; undefined where there is none. */
export function metadataElement(definition: DomainDef, uri: string | null): string | undefined {
  for (const node of definition.metadata ?? []) {
    if (node.kind === 'element' && namespaceOf(node) === uri) return printXml(node, { indent: 2 }).trimEnd()
  }
  return undefined
}

function namespaceOf(element: XmlElement): string | undefined {
  const colon = element.name.indexOf(':')
  const wanted = colon === -1 ? 'xmlns' : `xmlns:${element.name.slice(0, colon)}`
  return element.attributes.find((attribute) => attribute.name === wanted)?.value
}
