import { printXml } from '../xml/print-xml.ts'
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
  const { live } = options
  const face = live === undefined ? withoutLiveParts(def) : { ...def, id: live.id < 0 ? undefined : String(live.id) }
  const written = domain.write(face)
  return printXml(options.secure === true ? written : withoutSecrets(written), { indent: 2 })
}
