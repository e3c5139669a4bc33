import { describe, expect, test } from 'vitest'
import { formatDomain } from '../../src/conf/format-domain.ts'
import { parseDomain } from '../../src/conf/parse-domain.ts'
import { DefinitionError } from '../../src/xml/definition-error.ts'
import { parseXml } from '../../src/xml/parse-xml.ts'
import { textOf, type XmlElement } from '../../src/xml/xml-node.ts'
import { XmlError } from '../../src/xml/xml-error.ts'
import { type DomainXmlCase, openDomainXmlCorpus } from '../support/corpora.ts'

const corpus = openDomainXmlCorpus()
const read = (path: string): string => corpus?.readText(path) ?? ''
const accepted = corpus?.cases.filter((one) => one.expected !== undefined) ?? []

function through(text: string, { live }: DomainXmlCase): string {
  const def = parseDomain(text)
  return formatDomain(def, { secure: true, ...(live === true ? { live: { id: Number(def.id ?? -1) } } : {}) })
}

/** What a definition for the next start does not show, by path: it exists only while a domain runs. */
const onlyLive: readonly RegExp[] = [
  /^domain\/@id$/,
  /^domain\/devices\/disk\/source\/@index$/,
  /^domain\/devices\/disk(?:\/backingStore)+\/@index$/,
  /^domain\/devices\/disk\/mirror(?:\/|$)/,
]

/** Values that are printed in one spelling, whatever the spelling they were written in. */
const respelt: readonly RegExp[] = [
  /\/address\/@(?:domain|bus|slot|function|cssid|ssid|devno|iobase|irq)$/,
  /\/mac\/@address$/,
  /^domain\/(?:memory|currentMemory)(?:\/@unit)?$/,
  /^domain\/uuid$/,
]

/** Counts every element, attribute, and value of a document by its path. */
function facts(element: XmlElement, path: string, into: Map<string, number>): Map<string, number> {
  const count = (fact: string): unknown => into.set(fact, (into.get(fact) ?? 0) + 1)
  const value = (at: string, text: string): unknown =>
    count(respelt.some((rule) => rule.test(at)) ? at : `${at}=${text}`)
  count(path)
  for (const attribute of element.attributes) value(`${path}/@${attribute.name}`, attribute.value)
  const children = element.children.filter((node) => node.kind === 'element')
  if (children.length === 0 && textOf(element).trim() !== '') value(path, textOf(element).trim())
  for (const child of children) facts(child, `${path}/${child.name}`, into)
  return into
}

/** What the input says and the output does not. */
function lost(input: string, output: string): string[] {
  const after = facts(parseXml(output), 'domain', new Map())
  const before = facts(parseXml(input), 'domain', new Map())
  return [...before].flatMap(([fact, count]) => {
    const [path = ''] = fact.split('=')
    const gone = (after.get(fact) ?? 0) < count
    return gone && !onlyLive.some((rule) => rule.test(path)) ? [fact] : []
  })
}

describe.skipIf(corpus === null)('definitions of the corpus', () => {
  test('every stored definition is a fixed point: printed back byte for byte', () => {
    const different = accepted.filter((one) => {
      const stored = read(one.expected ?? '')
      return through(stored, one) !== stored
    })
    expect(different.map((one) => one.id)).toEqual([])
    expect(accepted.length).toBeGreaterThanOrEqual(680)
  })

  test('every definition whose stored form is its own is printed back byte for byte', () => {
    const identity = accepted.filter((one) => one.tier === 'identity')
    const different = identity.filter((one) => through(read(one.input), one) !== read(one.expected ?? ''))
    expect(different.map((one) => one.id)).toEqual([])
    expect(identity.length).toBeGreaterThanOrEqual(71)
  })

  test('nothing a client sent is lost, and printing again changes nothing', () => {
    let checked = 0
    const losses = accepted.flatMap((one) => {
      const input = read(one.input)
      const output = through(input, one)
      expect(through(output, one)).toBe(output)
      checked++
      return lost(input, output).map((fact) => `${one.id}: ${fact}`)
    })
    expect(losses).toEqual([])
    expect(checked).toBeGreaterThanOrEqual(680)
  })

  test('no definition that has a stored form is refused', () => {
    const refused = accepted.flatMap((one) => {
      try {
        parseDomain(read(one.input))
        return []
      } catch (error) {
        if (error instanceof DefinitionError) return [`${error.element} ${error.rule}`]
        throw error
      }
    })
    expect(refused).toEqual([])
  })

  test('an invalid definition is either refused with element and rule, or kept for the passes behind', () => {
    const invalid = corpus?.cases.filter((one) => one.kind.endsWith('parse-error')) ?? []
    let refused = 0
    for (const one of invalid) {
      try {
        parseDomain(read(one.input))
      } catch (error) {
        refused++
        if (error instanceof XmlError) expect(error.rule).not.toBe('')
        else if (error instanceof DefinitionError) expect([error.element, error.rule]).not.toContain('')
        else throw error
      }
    }
    expect(refused).toBeGreaterThanOrEqual(1)
  })
})
