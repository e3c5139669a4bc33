import { DefinitionError } from '../xml/definition-error.ts'
import { attributeOf, childOf, textOf, type XmlElement, xmlElement } from '../xml/xml-node.ts'

/** An element that is not there: it has no attributes and no children. */
export const absent: XmlElement = xmlElement('absent')

/** Refuses a capability document: `what` says what stands at `path` and what should. */
export function refuseDocument(path: string, what: string): never {
  const message = `Cannot read the capability document: ${path}: ${what}`
  throw new DefinitionError({ element: path, rule: 'emulator-document', message })
}

/** Reads an element where there is one. */
export function parsed<T>(element: XmlElement | undefined, read: (element: XmlElement) => T): T | null {
  return element === undefined ? null : read(element)
}

/** The text of a child that must be there. */
export function textOfChild(element: XmlElement, name: string): string {
  const child = childOf(element, name)
  if (child === undefined) return refuseDocument(`${element.name}/${name}`, 'the element is missing')
  return textOf(child)
}

/** An attribute, or null where the element does not have it. */
export function optionalAttribute(element: XmlElement, name: string): string | null {
  return attributeOf(element, name) ?? null
}

/** An attribute that must be there. */
export function requiredAttribute(element: XmlElement, name: string): string {
  const value = attributeOf(element, name)
  if (value === undefined) return refuseDocument(`${element.name}/@${name}`, 'the attribute is missing')
  return value
}

/** An attribute that is yes or no, or null where the element does not have it. */
export function optionalYesNo(element: XmlElement, name: string): boolean | null {
  const value = attributeOf(element, name)
  if (value === undefined) return null
  if (value === 'yes' || value === 'no') return value === 'yes'
  return refuseDocument(`${element.name}/@${name}`, `"${value}" must be yes or no`)
}

/** An attribute that must be there and be yes or no. */
export function yesNo(element: XmlElement, name: string): boolean {
  return optionalYesNo(element, name) ?? refuseDocument(`${element.name}/@${name}`, 'the attribute is missing')
}

/** Whether an attribute is there and says yes. */
export function switchedOn(element: XmlElement, name: string): boolean {
  return optionalYesNo(element, name) === true
}

/** A whole number, 0 or more, that a double holds exactly. */
export function wholeNumber(text: string, path: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(value)) return value
  return refuseDocument(path, `"${text}" must be a whole number`)
}

/** An attribute that is a whole number. */
export function count(element: XmlElement, name: string): number {
  return wholeNumber(requiredAttribute(element, name), `${element.name}/@${name}`)
}

/** An attribute that is a whole number, as a bigint. */
export function bigintAttribute(element: XmlElement, name: string): bigint {
  return BigInt(count(element, name))
}
