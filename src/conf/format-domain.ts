import { printXml } from '../xml/print-xml.ts'
import type { XmlElement } from '../xml/xml-node.ts'
import { withoutLiveParts } from './live-parts.ts'
import { domain, type DomainDef } from './domain-def.ts'
import { withoutSecrets } from './secret-paths.ts'

/** Which of the definition's faces is wanted. */
export interface FormatDomainOptions {
  /** The definition of a running domain: with its id, aliases, layer indexes, mirrors and terminals. */
  readonly live?: { readonly id: number }
  /** Print secrets (`VIR_DOMAIN_XML_SECURE`). */
  readonly secure?: boolean
}

/** Prints a definition in canonical order and layout, with a newline at the end. */
export function formatDomain(def: DomainDef, options: FormatDomainOptions = {}): string {
  return printXml(writeDomain(def, options), { indent: 2 })
}

/** The same as an element, to be put inside another document. */
export function writeDomain(def: DomainDef, options: FormatDomainOptions = {}): XmlElement {
  const { live } = options
  const face = live === undefined ? withoutLiveParts(def) : { ...def, id: live.id < 0 ? undefined : String(live.id) }
  const written = domain.write(face)
  return options.secure === true ? written : withoutSecrets(written)
}
