import { describe, expect, test } from 'vitest'
import { formatCapabilities } from '../../src/conf/capabilities-xml.ts'
import { formatDomainCapabilities } from '../../src/conf/domain-capabilities-xml.ts'
import { parseXml } from '../../src/xml/parse-xml.ts'
import { attributeOf, childOf, childrenOf, textOf, type XmlElement } from '../../src/xml/xml-node.ts'
import { qemu72 } from '../support/emulator-facts.ts'

/** The element at a path of names below the root. */
function at(root: XmlElement, ...names: readonly string[]): XmlElement {
  return names.reduce((element, name) => {
    const found = childOf(element, name)
    if (found === undefined) throw new Error(`<${element.name}> has no <${name}>`)
    return found
  }, root)
}

describe('formatCapabilities()', () => {
  const cpus = [0, 1].map((id) => ({ id, socketId: 0, dieId: 0, coreId: id, siblings: String(id) }))
  const host = {
    uuid: '5c3a62d7-a6fe-4d50-bfbf-417aa2f3ebf6',
    arch: 'x86_64',
    cpuVendor: 'AMD',
    topology: { sockets: 1, dies: 1, cores: 2, threads: 1 },
    cells: [{ id: 0, memoryKib: 4_194_304n, cpus }],
  }
  const root = parseXml(formatCapabilities(host, [qemu72]))

  test('says what virt-install asks of the host', () => {
    expect(textOf(at(root, 'host', 'uuid'))).toBe(host.uuid)
    expect(textOf(at(root, 'host', 'cpu', 'arch'))).toBe('x86_64')
    expect(attributeOf(at(root, 'host', 'cpu', 'topology'), 'cores')).toBe('2')
    expect(textOf(at(root, 'host', 'topology', 'cells', 'cell', 'memory'))).toBe('4194304')
    expect(childrenOf(at(root, 'host', 'topology', 'cells', 'cell', 'cpus'))).toHaveLength(2)
  })

  test('lists the emulator with machines, aliases and accelerators, the default machine first', () => {
    const arch = at(root, 'guest', 'arch')
    expect(attributeOf(arch, 'name')).toBe('x86_64')
    expect(textOf(at(arch, 'wordsize'))).toBe('64')
    expect(textOf(at(arch, 'emulator'))).toBe(qemu72.binary)
    expect(childrenOf(arch, 'machine').map(textOf)).toEqual(['pc', 'pc-i440fx-7.2', 'q35', 'pc-q35-7.2', 'isapc'])
    expect(childrenOf(arch, 'machine')[0]?.attributes).toEqual([
      { name: 'canonical', value: 'pc-i440fx-7.2' },
      { name: 'maxCpus', value: '255' },
    ])
    expect(childrenOf(arch, 'domain').map((domain) => attributeOf(domain, 'type'))).toEqual(['kvm', 'qemu'])
  })

  test('prints no part that is not known', () => {
    expect(childOf(at(root, 'host', 'cpu'), 'model')).toBeUndefined()
  })
})

describe('formatDomainCapabilities()', () => {
  test('describes the default machine under the preferred accelerator', () => {
    const root = parseXml(formatDomainCapabilities(qemu72))
    expect(
      childrenOf(root)
        .slice(0, 5)
        .map((child) => child.name),
    ).toEqual(['path', 'domain', 'machine', 'arch', 'vcpu'])
    expect(textOf(at(root, 'domain'))).toBe('kvm')
    expect(textOf(at(root, 'machine'))).toBe('pc-i440fx-7.2')
    expect(attributeOf(at(root, 'vcpu'), 'max')).toBe('255')
  })

  test('resolves an alias and lists CPU models with what the host can run', () => {
    const root = parseXml(formatDomainCapabilities(qemu72, { machine: 'q35', virtType: 'qemu' }))
    expect(textOf(at(root, 'machine'))).toBe('pc-q35-7.2')
    const modes = childrenOf(at(root, 'cpu'), 'mode')
    expect(modes.map((mode) => [attributeOf(mode, 'name'), attributeOf(mode, 'supported')])).toEqual([
      ['host-passthrough', 'no'],
      ['maximum', 'yes'],
      ['host-model', 'no'],
      ['custom', 'yes'],
    ])
    expect(modes[3] && childrenOf(modes[3]).map((model) => attributeOf(model, 'usable'))).toEqual(['yes', 'no'])
  })

  test('refuses a machine or an accelerator the emulator does not have', () => {
    expect(() => formatDomainCapabilities(qemu72, { machine: 'abacus' })).toThrow('has no machine type "abacus"')
    expect(() => formatDomainCapabilities({ ...qemu72, virtTypes: ['qemu'] }, { virtType: 'kvm' })).toThrow(
      'does not support virt type "kvm"',
    )
  })
})
