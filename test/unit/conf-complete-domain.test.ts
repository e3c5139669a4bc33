import { describe, expect, test } from 'vitest'
import { completeDomain } from '../../src/conf/complete-domain.ts'
import { targetIndex } from '../../src/conf/disk-target.ts'
import type { DomainDef } from '../../src/conf/domain-def.ts'
import { formatDomain } from '../../src/conf/format-domain.ts'
import { parseDomain } from '../../src/conf/parse-domain.ts'
import { qemu72 } from '../support/emulator-facts.ts'

const fresh = {
  uuid: '11111111-2222-3333-4444-555555555555',
  randomBytes: (count: number) => new Uint8Array(count).fill(0xab),
}

function complete(parts: { readonly head?: string; readonly os?: string; readonly devices?: string } = {}): DomainDef {
  const { head = '', os = '<os><type>hvm</type></os>', devices = '' } = parts
  const text = `<domain type='kvm'><name>n</name><memory>1024</memory>${head}${os}<devices>${devices}</devices></domain>`
  return completeDomain(parseDomain(text), qemu72, fresh)
}

describe('completeDomain()', () => {
  test('gives a UUID only where there is none', () => {
    expect(complete().uuid).toBe(fresh.uuid)
    const given = '00000000-0000-0000-0000-000000000001'
    expect(complete({ head: `<uuid>${given}</uuid>` }).uuid).toBe(given)
  })

  test.each([
    [undefined, 'pc-i440fx-7.2'],
    ['pc', 'pc-i440fx-7.2'],
    ['q35', 'pc-q35-7.2'],
    ['pc-q35-7.2', 'pc-q35-7.2'],
    ['abacus', 'abacus'],
  ])('resolves machine type %s to %s', (machine, expected) => {
    const attribute = machine === undefined ? '' : ` machine='${machine}'`
    expect(complete({ os: `<os><type${attribute}>hvm</type></os>` }).os.type.machine).toBe(expected)
  })

  test('lowers current memory to the maximum and drops a current vCPU count that says nothing', () => {
    const def = complete({ head: "<currentMemory>4096</currentMemory><vcpu current='2'>2</vcpu>" })
    expect(def.currentMemory?.kib).toBe(1024n)
    expect(def.vcpu).toEqual({ placement: 'static', count: 2 })
  })

  test.each([
    ['hda', 'ide', { controller: 0, bus: 0, unit: 0 }],
    ['hdd', 'ide', { controller: 0, bus: 1, unit: 1 }],
    ['fdb', 'fdc', { controller: 0, bus: 0, unit: 1 }],
    ['sdh', 'scsi', { controller: 1, bus: 0, unit: 0 }],
  ])('puts %s on bus %s at its drive address', (dev, bus, place) => {
    const [disk] = complete({ devices: `<disk><source file='/a'/><target dev='${dev}'/></disk>` }).devices.disks
    expect(disk?.target.bus).toBe(bus)
    expect(disk?.address).toMatchObject({ type: 'drive', target: 0, ...place })
    expect(disk?.driver).toEqual({ name: 'qemu', type: 'raw' })
  })

  test('gives no drive address to a virtio disk', () => {
    const [disk] = complete({ devices: "<disk><source file='/a'/><target dev='vda'/></disk>" }).devices.disks
    expect(disk?.target.bus).toBe('virtio')
    expect(disk?.address).toBeUndefined()
  })

  test('orders drives of a bus by their letters', () => {
    const names = ['vdc', 'vda', 'sdb', 'vdb', 'sda']
    const devices = names.map(
      (dev) => `<disk><target dev='${dev}' bus='${dev.startsWith('v') ? 'virtio' : 'scsi'}'/></disk>`,
    )
    const ordered = complete({ devices: devices.join('') }).devices.disks.map((disk) => disk.target.dev)
    expect(ordered).toEqual(['vda', 'vdb', 'vdc', 'sda', 'sdb'])
  })

  test('adds the controllers that devices sit on, once', () => {
    const devices = `<disk><target dev='sda'/></disk><disk><target dev='sdb'/></disk>
      <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
      <controller type='usb' model='none'/>`
    expect(complete({ devices }).devices.controllers).toEqual([
      { type: 'usb', index: 0, model: 'none' },
      { type: 'pci', index: 0, model: 'pci-root' },
      { type: 'scsi', index: 0, model: 'lsilogic' },
      { type: 'virtio-serial', index: 0 },
    ])
  })

  test('pairs serial port and console, whichever of the two is given', () => {
    const bySerial = complete({ devices: "<serial type='pty'/>" }).devices
    const byConsole = complete({ devices: "<console type='pty'/>" }).devices
    expect(bySerial.consoles).toMatchObject([{ type: 'pty', target: { type: 'serial', port: 0 } }])
    expect(byConsole.serials).toEqual(bySerial.serials)
    expect(byConsole.consoles).toEqual(bySerial.consoles)
  })

  test('leaves a virtio console without a serial port', () => {
    const { serials, consoles } = complete({ devices: "<console type='pty'><target type='virtio'/></console>" }).devices
    expect(serials).toEqual([])
    expect(consoles).toMatchObject([{ target: { type: 'virtio', port: 0 } }])
  })

  test('makes MAC addresses from the randomness it is given', () => {
    const { interfaces } = complete({ devices: "<interface type='user'/>" }).devices
    expect(interfaces).toMatchObject([{ mac: { address: '52:54:00:ab:ab:ab' }, model: { type: 'rtl8139' } }])
  })

  test('keeps a fixed VNC port and listens where it was told to', () => {
    const [graphics] = complete({ devices: "<graphics type='vnc' port='5905' listen='127.0.0.1'/>" }).devices.graphics
    expect(graphics).toMatchObject({
      port: 5905,
      autoport: false,
      listens: [{ type: 'address', address: '127.0.0.1' }],
    })
  })

  test.each([
    ["<cpu mode='host-passthrough'/>", { mode: 'host-passthrough', check: 'none', migratable: true }],
    ["<cpu mode='host-model'/>", { mode: 'host-model', check: 'partial' }],
    [
      '<cpu><model>Haswell</model></cpu>',
      { mode: 'custom', match: 'exact', check: 'partial', model: { name: 'Haswell' } },
    ],
    [
      "<cpu><topology sockets='1' cores='1' threads='1'/></cpu>",
      { mode: 'custom', check: 'none', model: { name: 'qemu64' } },
    ],
  ])('spells out %s', (head, expected) => {
    expect(complete({ head }).cpu).toMatchObject(expected)
  })

  test('changes nothing when it is done again', () => {
    const devices = `<disk device='cdrom'><target dev='hdc'/></disk><interface type='user'/><serial type='pty'/>
      <parallel type='pty'/><graphics type='spice'/><input type='tablet'/><watchdog model='i6300esb'/>`
    const once = complete({ devices })
    const twice = completeDomain(once, qemu72, { uuid: 'another', randomBytes: () => Uint8Array.of(1, 2, 3) })
    expect(formatDomain(twice)).toBe(formatDomain(once))
  })
})

describe('targetIndex()', () => {
  test.each([
    ['vda', 0],
    ['vdz', 25],
    ['vdaa', 26],
    ['hdb3', 1],
    ['xvdc', 2],
    ['vd', undefined],
    ['zip', undefined],
  ])('of %s is %s', (dev, expected) => {
    expect(targetIndex(dev)).toBe(expected)
  })
})
