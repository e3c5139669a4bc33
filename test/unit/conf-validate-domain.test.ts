import { describe, expect, test } from 'vitest'
import { completeDomain } from '../../src/conf/complete-domain.ts'
import type { DomainDef } from '../../src/conf/domain-def.ts'
import { parseDomain } from '../../src/conf/parse-domain.ts'
import { unstartable } from '../../src/conf/unstartable.ts'
import { validateDomain } from '../../src/conf/validate-domain.ts'
import { DefinitionError } from '../../src/xml/definition-error.ts'
import { qemu72 } from '../support/emulator-facts.ts'

interface Parts {
  readonly type?: string
  readonly memory?: string
  readonly head?: string
  readonly os?: string
  readonly devices?: string
}

function completed({
  type = 'kvm',
  memory = '1024',
  head = '',
  os = '<type>hvm</type>',
  devices = '',
}: Parts): DomainDef {
  const text = `<domain type='${type}'><name>n</name><memory>${memory}</memory>${head}<os>${os}</os><devices>${devices}</devices></domain>`
  return completeDomain(parseDomain(text), qemu72, { uuid: 'u', randomBytes: (count) => new Uint8Array(count) })
}

function refusal(parts: Parts): DefinitionError | undefined {
  try {
    validateDomain(completed(parts), qemu72)
    return undefined
  } catch (error) {
    if (error instanceof DefinitionError) return error
    throw error
  }
}

const disk = (dev: string, more = ''): string => `<disk><source file='/${dev}'/><target dev='${dev}'/>${more}</disk>`
const pci = "<address type='pci' slot='0x09'/>"

describe('validateDomain()', () => {
  test('accepts a definition that this emulator can do', () => {
    expect(
      refusal({ devices: disk('vda') + disk('sda') + "<interface type='user'/><graphics type='vnc'/>" }),
    ).toBeUndefined()
  })

  const refused: readonly (readonly [rule: string, element: string, parts: Parts])[] = [
    ['emulator-binary', 'domain/devices/emulator', { devices: '<emulator>/usr/bin/other</emulator>' }],
    ['os-type', 'domain/os/type', { os: '<type>linux</type>' }],
    ['arch', 'domain/os/type', { os: "<type arch='s390x'>hvm</type>" }],
    ['virt-type', 'domain', { type: 'xen' }],
    ['machine', 'domain/os/type', { os: "<type machine='abacus'>hvm</type>" }],
    ['memory-zero', 'domain/memory', { memory: '0' }],
    ['vcpu-current', 'domain/vcpu', { head: "<vcpu current='3'>2</vcpu>" }],
    ['vcpu-maximum', 'domain/vcpu', { head: '<vcpu>256</vcpu>' }],
    [
      'cpu-topology',
      'domain/cpu/topology',
      { head: "<vcpu>4</vcpu><cpu><topology sockets='1' cores='2' threads='1'/></cpu>" },
    ],
    ['cpu-model', 'domain/cpu/model', { head: '<cpu><model>z80</model></cpu>' }],
    [
      'cpu-feature-unique',
      'domain/cpu/feature',
      { head: "<cpu mode='host-model'><feature name='avx'/><feature name='avx'/></cpu>" },
    ],
    ['disk-target-name', 'domain/devices/disk/target', { devices: disk('disk1') }],
    ['disk-target-unique', 'domain/devices/disk/target', { devices: disk('vda') + disk('vda') }],
    ['disk-source', 'domain/devices/disk/source', { devices: "<disk><target dev='vda'/></disk>" }],
    [
      'drive-address-unique',
      'domain/devices/disk/address',
      { devices: disk('sda', "<address type='drive' unit='1'/>") + disk('sdb') },
    ],
    ['pci-address-unique', 'domain/devices', { devices: disk('vda', pci) + disk('vdb', pci) }],
    ['controller-unique', 'domain/devices/controller', { devices: "<controller type='scsi' index='1'/>".repeat(2) }],
    ['boot-order', 'domain/devices', { devices: disk('vda', "<boot order='1'/>") + disk('vdb', "<boot order='1'/>") }],
    [
      'boot-order',
      'domain/os/boot',
      { os: "<type>hvm</type><boot dev='hd'/>", devices: disk('vda', "<boot order='1'/>") },
    ],
    [
      'alias-unique',
      'domain/devices',
      { devices: disk('vda', "<alias name='ua-x'/>") + disk('vdb', "<alias name='ua-x'/>") },
    ],
    [
      'video-primary',
      'domain/devices/video/model',
      { devices: "<video><model type='vga' primary='yes'/></video>".repeat(2) },
    ],
  ]
  test.each(refused)('refuses by rule %s at %s', (rule, element, parts) => {
    const error = refusal(parts)
    expect(error).toMatchObject({ rule, element })
    expect(error?.message).toMatch(/^Cannot use this definition: ./)
  })

  test('takes a machine type without a stated limit of CPUs as unlimited', () => {
    const facts = { ...qemu72, machines: [{ name: 'pc-i440fx-7.2', maxCpus: 0, isDefault: true }] }
    expect(() => validateDomain(completed({ head: '<vcpu>999</vcpu>' }), facts)).not.toThrow()
  })
})

describe('unstartable()', () => {
  test('finds nothing in what the driver can do', () => {
    const devices = `${disk('vda')}<disk device='cdrom'><target dev='hdc'/></disk><interface type='user'/><serial type='pty'/>
      <graphics type='vnc'/><video/><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>`
    const head = `<metadata><x:y xmlns:x="urn:x"/></metadata><cpu mode='host-model'/><features><acpi/><apic/></features>`
    expect(unstartable(completed({ head, devices: devices.replace('<video/>', '') }))).toEqual([])
  })

  test.each([
    ["<interface type='bridge'><source bridge='br0'/></interface>", 'domain/devices/interface', 'type "bridge"'],
    [
      "<disk type='network'><source protocol='nbd'/><target dev='vda'/></disk>",
      'domain/devices/disk',
      'disk "vda" is of type "network"',
    ],
    [
      "<disk><driver type='vmdk'/><source file='/a'/><target dev='vda'/></disk>",
      'domain/devices/disk/driver',
      'format "vmdk"',
    ],
    [
      "<disk><source file='/a'/><backingStore type='block'/><target dev='vda'/></disk>",
      'domain/devices/disk/backingStore',
      'type "block"',
    ],
    ["<hostdev mode='subsystem' type='usb'/>", 'domain/devices/hostdev', '<hostdev> is kept'],
    ["<tpm model='tpm-tis'/>", 'domain/devices/tpm', '<tpm> is kept'],
    ["<filesystem type='mount'/>", 'domain/devices/filesystem', '<filesystem> is kept'],
    ["<graphics type='spice'/>", 'domain/devices/graphics', 'type "spice"'],
    ["<channel type='spicevmc'><target type='virtio'/></channel>", 'domain/devices/channel', 'type "spicevmc"'],
    ['<quantum-link/>', 'domain/devices/quantum-link', '<quantum-link> is kept'],
    [
      "<disk warp='9'><source file='/a'/><target dev='vda'/></disk>",
      'domain/devices/disk/@warp',
      'attribute "warp" is kept',
    ],
  ])('names %s', (devices, path, why) => {
    const found = unstartable(completed({ devices }))
    expect(found).toContainEqual({ path, why: expect.stringContaining(why) })
  })

  test('names hardware outside the devices too', () => {
    const found = unstartable(
      completed({ head: "<launchSecurity type='sev'/><memoryBacking><hugepages/></memoryBacking>" }),
    )
    expect(found.map(({ path }) => path)).toEqual(['domain/memoryBacking', 'domain/launchSecurity'])
  })

  test('names host-passthrough without hardware virtualization', () => {
    const found = unstartable(completed({ type: 'qemu', head: "<cpu mode='host-passthrough'/>" }))
    expect(found.map(({ path }) => path)).toEqual(['domain/cpu'])
  })
})
