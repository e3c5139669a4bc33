import { DefinitionError } from '../xml/definition-error.ts'
import { parseXml, type XmlLimits } from '../xml/parse-xml.ts'
import type { XmlElement } from '../xml/xml-node.ts'
import { domain, type DomainDef } from './domain-def.ts'

/**
 * Reads a definition. Throws XmlError when it is not XML, DefinitionError naming element and rule when it is not a domain.
 * Defaults that depend on the emulator are not filled in: see `completeDomain`.
 */
export function parseDomain(xml: Uint8Array | string, limits: Partial<XmlLimits> = {}): DomainDef {
  return readDomain(parseXml(xml, limits))
}

/** Reads a definition that stands inside another document, such as a snapshot's. */
export function readDomain(root: XmlElement, path = 'domain'): DomainDef {
  if (root.name !== domain.name) {
    const message = `Cannot read definition: the root element is <${root.name}>, it must be <domain>`
    throw new DefinitionError({ element: root.name, rule: 'root-element', message })
  }
  return domain.read(root, path)
}

/** Paths of everything in a definition that was kept verbatim without being understood, each once, in document order. */
export function keptPaths(def: DomainDef): readonly string[] {
  const paths: string[] = []
  domain.listKept(def, 'domain', paths)
  return [...new Set(paths)].filter((path) => !path.startsWith('domain/@xmlns'))
}
