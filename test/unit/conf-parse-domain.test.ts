import { describe, expect, test } from 'vitest'
import { formatDomain } from '../../src/conf/format-domain.ts'
import { keptPaths, parseDomain } from '../../src/conf/parse-domain.ts'
import { DefinitionError } from '../../src/xml/definition-error.ts'
import { XmlError } from '../../src/xml/xml-error.ts'

interface Parts {
  readonly name?: string
  readonly head?: string
  readonly devices?: string
  readonly memory?: string
}

function xml({
  name = '<name>n</name>',
  head = '',
  devices = '',
  memory = '<memory>1024</memory>',
}: Parts = {}): string {
  return `<domain type='qemu'>${name}${memory}${head}<os><type>hvm</type></os><devices>${devices}</devices></domain>`
}

const disk = (inside: string, attributes = "type='file'"): string =>
  xml({ devices: `<disk ${attributes}>${inside}<target dev='vda'/></disk>` })

function refusal(document: string): DefinitionError {
  try {
    parseDomain(document)
  } catch (error) {
    if (error instanceof DefinitionError) return error
    throw error
  }
  throw new Error('the definition was accepted')
}

describe('parseDomain()', () => {
  test('keeps a name of digits as written, there and back', () => {
    const def = parseDomain(xml({ name: '<name>007</name>' }))
    expect(def.name).toBe('007')
    expect(formatDomain(def)).toContain('<name>007</name>')
  })

  test.each([
    ['1024', '', 1024n],
    ['1', "unit='b'", 1n],
    ['1025', "unit='bytes'", 2n],
    ['1', "unit='KB'", 1n],
    ['3', "unit='MB'", 2930n],
    ['512', "unit='MiB'", 524_288n],
    ['2', "unit='G'", 2_097_152n],
    ['1', "unit='TiB'", 1_073_741_824n],
  ])('scales %s %s of memory to KiB', (amount, unit, kib) => {
    expect(parseDomain(xml({ memory: `<memory ${unit}>${amount}</memory>` })).memory.kib).toBe(kib)
  })

  test('takes memory from the NUMA cells where it is not stated', () => {
    const numa = "<cpu><numa><cell cpus='0' memory='1' unit='MiB'/><cell cpus='1' memory='512'/></numa></cpu>"
    expect(parseDomain(xml({ memory: '', head: numa })).memory.kib).toBe(1536n)
    const unstated = "<cpu><numa><cell cpus='0'/></numa></cpu>"
    expect(refusal(xml({ memory: '', head: unstated }))).toMatchObject({ rule: 'cell-memory' })
  })

  test('tells the three meanings of a backing store apart', () => {
    const store = (inside: string) => parseDomain(disk(inside)).devices.disks[0]?.backingStore
    expect(store('')).toBeUndefined()
    expect(store('<backingStore/>')).toEqual({ kind: 'end' })
    const layer = `<backingStore type='file'><format type='qcow2'/><source file='/b'/><backingStore/></backingStore>`
    expect(store(layer)).toEqual({
      kind: 'layer',
      layer: { type: 'file', format: { type: 'qcow2' }, source: { file: '/b' }, backingStore: { kind: 'end' } },
    })
  })

  test('reads a chain of 200 stated layers and prints it back', () => {
    const open = `<backingStore type='file'><format type='raw'/><source file='/b'/>`
    const source = disk(open.repeat(200) + '</backingStore>'.repeat(200))
    const printed = formatDomain(parseDomain(source))
    expect(printed.split('<backingStore ')).toHaveLength(201)
    expect(formatDomain(parseDomain(printed))).toBe(printed)
  })

  test('lets malformed XML through to nobody', () => {
    expect(() => parseDomain(`${xml()}<domain/>`)).toThrow(XmlError)
    expect(() => parseDomain(`${xml()}x`)).toThrow(XmlError)
    expect(() => parseDomain(`<!DOCTYPE domain>${xml()}`)).toThrow(XmlError)
  })

  test.each([
    ['another root', '<network/>', 'network', 'root-element'],
    ['no name', xml({ name: '' }), 'domain', 'required'],
    ['an empty name', xml({ name: '<name/>' }), 'domain/name', 'domain-name'],
    ['a blank name', xml({ name: '<name> \t </name>' }), 'domain/name', 'domain-name'],
    ['a slash in the name', xml({ name: '<name>a/b</name>' }), 'domain/name', 'domain-name'],
    ['a line break in the name', xml({ name: '<name>a\nb</name>' }), 'domain/name', 'domain-name'],
    ['two names', xml({ name: '<name>a</name><name>b</name>' }), 'domain/name', 'once'],
    ['a bad UUID', xml({ head: '<uuid>nope</uuid>' }), 'domain/uuid', 'uuid'],
    ['a title of two lines', xml({ head: '<title>a\nb</title>' }), 'domain/title', 'one-line'],
    ['no memory', xml({ memory: '' }), 'domain', 'required'],
    ['memory that is no number', xml({ memory: '<memory>much</memory>' }), 'domain/memory', 'unsigned-long'],
    ['an unknown unit', xml({ memory: "<memory unit='stones'>1</memory>" }), 'domain/memory', 'unit'],
    ['8 EiB of memory', xml({ memory: "<memory unit='EiB'>8</memory>" }), 'domain/memory', 'overflow'],
    ['no vCPU', xml({ head: '<vcpu>0</vcpu>' }), 'domain/vcpu', 'positive-int'],
    ['a disk without target', xml({ devices: "<disk type='file'/>" }), 'domain/devices/disk', 'required'],
    [
      'an unknown bus',
      xml({ devices: "<disk><target dev='vda' bus='warp'/></disk>" }),
      'domain/devices/disk/target',
      'one-of',
    ],
    ['an unknown type of disk', disk('', "type='cloud'"), 'domain/devices/disk', 'one-of'],
    ['an unknown cache mode', disk("<driver cache='all'/>"), 'domain/devices/disk/driver', 'one-of'],
    [
      'a multicast MAC',
      xml({ devices: "<interface type='user'><mac address='01:00:00:00:00:01'/></interface>" }),
      'domain/devices/interface/mac',
      'mac-address',
    ],
    ['boot order 0', disk("<boot order='0'/>"), 'domain/devices/disk/boot', 'positive-int'],
    ['a PCI slot beyond the bus', disk("<address type='pci' slot='0x20'/>"), 'domain/devices/disk/address', 'number'],
    ['an unknown kind of address', disk("<address type='moon'/>"), 'domain/devices/disk/address', 'one-of'],
    ['an unknown CPU mode', xml({ head: "<cpu mode='fast'/>" }), 'domain/cpu', 'one-of'],
    ['an unknown event action', xml({ head: '<on_crash>cry</on_crash>' }), 'domain/on_crash', 'one-of'],
  ])('refuses %s', (...[, document, element, rule]) => {
    expect(refusal(document)).toMatchObject({ element, rule, kind: 'xml_error' })
  })
})

describe('keptPaths()', () => {
  test('names what is kept without being understood, and not what belongs to the clients', () => {
    const def = parseDomain(
      xml({
        head: `<metadata><x:y xmlns:x="urn:x"/></metadata><cputune><shares>1</shares></cputune><future mode='1'/>`,
        devices: `<hostdev mode='subsystem' type='usb'/><tpm model='tpm-tis'/><disk warp='9'><target dev='vda'/></disk>`,
      }),
    )
    expect(keptPaths(def)).toEqual([
      'domain/cputune',
      'domain/devices/disk/@warp',
      'domain/devices/tpm',
      'domain/devices/hostdev',
      'domain/future',
    ])
  })

  test('is empty for a definition that is understood', () => {
    expect(keptPaths(parseDomain(disk("<driver name='qemu' type='qcow2'/><source file='/a'/>")))).toEqual([])
  })
})
