import { parseXml } from '../../src/xml/parse-xml.ts'
import { isBlank, textOf, type XmlElement } from '../../src/xml/xml-node.ts'

/** Values of a document or answer by the names under which two sides are compared. */
export type Fields = Readonly<Record<string, string>>

/**
 * A document as one value per attribute and text: "devices/disk[2]/source@file". The root is left out of the names, the first of
 * several siblings has no number, and an element without anything in it is there with an empty value.
 */
export function xmlFields(document: string): Fields {
  const fields: Record<string, string> = {}
  walk(parseXml(document), '', fields)
  return fields
}

/** Those fields whose names begin with one of the given element paths. */
export function pickFields(fields: Fields, paths: readonly string[]): Fields {
  const wanted = (name: string): boolean =>
    paths.some((path) => name === path || ['/', '@', '['].some((next) => name.startsWith(path + next)))
  return Object.fromEntries(Object.entries(fields).filter(([name]) => wanted(name)))
}

function walk(element: XmlElement, path: string, fields: Record<string, string>): void {
  for (const { name, value } of element.attributes) fields[`${path}@${name}`] = value
  const children = element.children.filter((node) => node.kind === 'element')
  const text = textOf(element)
  if (children.length === 0 && (!isBlank(text) || element.attributes.length === 0)) fields[path] = text.trim()
  const seen = new Map<string, number>()
  for (const child of children) {
    const number = (seen.get(child.name) ?? 0) + 1
    seen.set(child.name, number)
    const name = number === 1 ? child.name : `${child.name}[${number}]`
    walk(child, path === '' ? name : `${path}/${name}`, fields)
  }
}
