import type { XmlElement, XmlNode } from '../xml/xml-node.ts'

/** One place of a definition that may hold a secret. */
export interface SecretPath {
  readonly element: string
  /** The attribute that is secret; absent: the whole element is. */
  readonly secret?: string
  /** Attributes that say something about the secret only, and go where it goes. */
  readonly companions?: readonly string[]
}

/** Every place of a definition that may hold a secret. References to secrets kept elsewhere (`<secret uuid=…>`) are none. */
export const secretPaths: readonly SecretPath[] = [
  { element: 'graphics', secret: 'passwd', companions: ['passwdValidTo', 'connected'] },
  { element: 'cookies' },
]

const whole = new Set(secretPaths.filter((row) => row.secret === undefined).map((row) => row.element))
const attributes = new Map(
  secretPaths.flatMap(({ element, secret, companions = [] }): (readonly [string, ReadonlySet<string>])[] =>
    secret === undefined ? [] : [[element, new Set([secret, ...companions])]],
  ),
)

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
