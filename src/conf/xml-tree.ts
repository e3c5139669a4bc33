import { type XmlElement, type XmlNode, xmlElement } from '../xml/xml-node.ts'

/** Values of attributes; undefined ones are left out. */
export type Attributes = Readonly<Record<string, string | number | bigint | undefined>>

/** An element of a document that is only ever printed. */
export function tree(
  name: string,
  attributes: Attributes = {},
  children: readonly (XmlNode | undefined)[] = [],
): XmlElement {
  const written = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [{ name: key, value: String(value) }],
  )
  return xmlElement(
    name,
    written,
    children.filter((child) => child !== undefined),
  )
}

/** An element that holds one text. */
export function leaf(name: string, text: string | number | bigint, attributes: Attributes = {}): XmlElement {
  return tree(name, attributes, text === '' ? [] : [{ kind: 'text', text: String(text) }])
}
