import { DefinitionError } from '../xml/definition-error.ts'
import type { XmlElement } from '../xml/xml-node.ts'
import { domain, type DomainDef } from './domain-def.ts'
import { secretPaths } from './secret-paths.ts'

/** Paths of the secrets a definition holds, in document order. */
export function secretsIn(def: DomainDef): readonly string[] {
  const found: string[] = []
  collect(domain.write(def), 'domain', found)
  return found
}

function collect(element: XmlElement, path: string, into: string[]): void {
  if (element.verbatim === true) return
  for (const row of secretPaths) {
    if (row.element !== element.name) continue
    if (row.secret === undefined) into.push(path)
    else if (element.attributes.some(({ name, value }) => name === row.secret && value !== '')) {
      into.push(`${path}/@${row.secret}`)
    }
  }
  for (const node of element.children) {
    if (node.kind === 'element') collect(node, `${path}/${node.name}`, into)
  }
}

/** Refuses a definition that holds a secret: the log is append-only, so what once is in it can never be taken out again. */
export function refuseSecrets(def: DomainDef): void {
  const [path] = secretsIn(def)
  if (path === undefined) return
  throw new DefinitionError({
    element: path,
    rule: 'secret',
    kind: 'config_unsupported',
    message: `Cannot use this definition: ${path} is a secret, definitions are kept for ever, so it must hold none`,
  })
}
