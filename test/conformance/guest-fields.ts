import { parseXml } from '../../src/xml/parse-xml.ts'
import { attributeOf, childOf, childrenOf, textOf, type XmlElement } from '../../src/xml/xml-node.ts'
import type { Fields } from './xml-fields.ts'

/** What a capabilities document says about each architecture that guests can have; the order of machines means nothing. */
export function guestFields(document: string): Fields {
  return Object.assign({}, ...childrenOf(parseXml(document), 'guest').map(fieldsOfGuest))
}

function fieldsOfGuest(guest: XmlElement): Fields {
  const arch = childOf(guest, 'arch')
  if (arch === undefined) return { 'guest without architecture': 'yes' }
  const name = attributeOf(arch, 'name') ?? ''
  const text = (child: string): string => childrenOf(arch, child).map(textOf).join(' ')
  const features = childrenOf(childOf(guest, 'features') ?? guest).map((feature) => feature.name)
  return {
    [`${name} type`]: childrenOf(guest, 'os_type').map(textOf).join(' '),
    [`${name} emulator`]: text('emulator'),
    [`${name} word size`]: text('wordsize'),
    [`${name} domains`]: childrenOf(arch, 'domain')
      .map((domain) => attributeOf(domain, 'type') ?? '')
      .toSorted()
      .join(' '),
    [`${name} machines`]: machines(arch),
    [`${name} features`]: features.toSorted().join(' '),
  }
}

function machines(arch: XmlElement): string {
  const found = childrenOf(arch, 'machine').map((machine) => {
    const canonical = attributeOf(machine, 'canonical')
    return `${textOf(machine)}${canonical === undefined ? '' : `=${canonical}`}:${attributeOf(machine, 'maxCpus') ?? ''}`
  })
  return found.toSorted().join(' ')
}
