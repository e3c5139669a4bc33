import { expect, test } from 'vitest'
import { metadataElement } from '../../src/conf/metadata-element.ts'
import { parseDomain } from '../../src/conf/parse-domain.ts'

const definitionWith = (metadata: string) =>
  parseDomain(`<domain type='qemu'><name>a</name><memory>65536</memory><vcpu>1</vcpu>
    <os><type arch='x86_64' machine='pc'>hvm</type></os><metadata>${metadata}</metadata></domain>`)

test('metadataElement() gives the element of a namespace without its prefix, laid out anew', () => {
  const definition = definitionWith(`<o:owner xmlns:o='urn:1' o:id='7'><o:team>storage</o:team><o:none/></o:owner>`)
  expect(metadataElement(definition, 'urn:1')).toBe(`<owner id='7'>\n  <team>storage</team>\n  <none/>\n</owner>`)
})

test('metadataElement() finds a default namespace, and leaves other namespaces as they are', () => {
  const definition = definitionWith(`<a:x xmlns:a='urn:1'/><y xmlns='urn:2'><z:k xmlns:z='urn:3'>v</z:k></y>`)
  expect(metadataElement(definition, 'urn:2')).toBe(`<y>\n  <z:k xmlns:z='urn:3'>v</z:k>\n</y>`)
})

test('metadataElement() gives nothing for an unknown namespace', () => {
  expect(metadataElement(definitionWith(`<a:x xmlns:a='urn:1'/>`), 'urn:9')).toBeUndefined()
  expect(metadataElement(definitionWith(''), 'urn:9')).toBeUndefined()
})
