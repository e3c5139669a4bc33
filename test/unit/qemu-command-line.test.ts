import { describe, expect, test } from 'vitest'
import type { EmulatorFacts } from '../../src/conf/emulator-facts.ts'
import type { HostModel } from '../../src/conf/best-x86-model.ts'
import type { DiskChain } from '../../src/driver/driver.ts'
import { buildCommandLine } from '../../src/qemu/command-line.ts'
import { optionText } from '../../src/qemu/command-line-parts.ts'
import { flagRules } from '../../src/qemu/flag-rules.ts'
import { definitionOf } from '../support/qemu-kit.ts'

const uuid = '11111111-2222-4333-8444-555555555555'
const facts: EmulatorFacts = {
  capsId: 'caps',
  binary: '/usr/bin/qemu-system-x86_64',
  arch: 'x86_64',
  version: 7_002_022n,
  virtTypes: ['kvm', 'qemu'],
  machines: [
    { name: 'pc-i440fx-7.2', alias: 'pc', maxCpus: 255, isDefault: true },
    { name: 'pc-q35-7.2', alias: 'q35', maxCpus: 288, isDefault: false },
  ],
  cpuModels: ['qemu64', 'EPYC', 'EPYC-Rome', 'Haswell', 'host', 'max'].map((name) => ({
    name,
    usable: name !== 'EPYC-Rome',
  })),
  flags: new Set<string>(flagRules.map(({ flag }) => flag)),
}

interface Given {
  readonly type?: 'kvm' | 'qemu'
  readonly machine?: 'q35' | 'pc'
  readonly os?: string
  readonly body?: string
  readonly devices?: string
  readonly disks?: readonly DiskChain[]
  readonly vncPorts?: readonly number[]
  readonly hostModel?: HostModel
  readonly directory?: string
}

const hostModel: HostModel = {
  model: 'Haswell',
  vendor: 'Intel',
  features: [
    { policy: 'require', name: 'pclmuldq' },
    { policy: 'require', name: 'fxsr_opt' },
    { policy: 'disable', name: 'rtm' },
  ],
}

function build(given: Given): readonly string[] {
  const { type = 'kvm', machine = 'q35', os = '', body = '', devices = '', directory = '/run/x' } = given
  const xml = `<domain type='${type}'><name>web, one</name><uuid>${uuid}</uuid><memory unit='KiB'>1048576</memory>
    ${body.includes('<vcpu') ? '' : '<vcpu>2</vcpu>'}<os><type arch='x86_64' machine='${machine}'>hvm</type>${os}</os>${body}<devices>${devices}</devices></domain>`
  return buildCommandLine({
    uuid,
    name: 'web, one',
    definition: definitionOf(xml, facts),
    caps: facts,
    accelerator: type === 'kvm' ? 'kvm' : 'tcg',
    hostModel: given.hostModel ?? null,
    disks: given.disks ?? [],
    vncPorts: given.vncPorts ?? [],
    paths: { directory, monitor: `${directory}/monitor.sock`, pidFile: `${directory}/qemu.pid` },
    nowMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  })
}

/** Values of an option, in their order. */
function values(args: readonly string[], option: string): readonly string[] {
  return args.flatMap((arg, place) => (arg === option ? [args[place + 1] ?? ''] : []))
}

/** The `-device` of a driver. */
function deviceOf(args: readonly string[], driver: string): string | undefined {
  return values(args, '-device').find((value) => value === driver || value.startsWith(`${driver},`))
}

const fileDisk = (more: string): string => `<disk type='file' device='disk'>${more}</disk>`
const chain = (
  target: string,
  ...layers: readonly (readonly [index: number, path: string, format: 'qcow2' | 'raw'])[]
): DiskChain => ({
  target,
  readOnly: false,
  layers: layers.map(([index, path, format]) => ({ index, path, format })),
})

describe('buildCommandLine()', () => {
  test('runs stopped, without configuration of its own, sandboxed, with its monitor and pid file', () => {
    const args = build({})
    expect(args).toContain('-S')
    expect(args).toContain('-no-user-config')
    expect(args).toContain('-nodefaults')
    expect(values(args, '-name')).toEqual(['guest=web,, one,debug-threads=on'])
    expect(values(args, '-uuid')).toEqual([uuid])
    expect(values(args, '-sandbox')).toEqual([
      'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
    ])
    expect(values(args, '-pidfile')).toEqual(['/run/x/qemu.pid'])
    expect(values(args, '-chardev')).toEqual(['socket,id=charmonitor,path=/run/x/monitor.sock,server=on,wait=off'])
    expect(args).not.toContain('-daemonize')
  })

  test.each([
    [{}, 'pc-q35-7.2,accel=kvm,usb=off,dump-guest-core=off,acpi=off'],
    [
      { type: 'qemu', machine: 'pc', body: '<features><acpi/></features>' },
      'pc-i440fx-7.2,accel=tcg,usb=off,dump-guest-core=off,acpi=on',
    ],
    [
      {
        body: "<features><vmport state='off'/><smm state='on'/></features><clock offset='utc'><timer name='hpet' present='no'/></clock>",
      },
      'pc-q35-7.2,accel=kvm,usb=off,dump-guest-core=off,vmport=off,smm=on,hpet=off,acpi=off',
    ],
  ] as const)('names machine and accelerator %#', (given, machine) => {
    expect(values(build(given), '-machine')).toEqual([machine])
  })

  test.each([
    [{ body: "<cpu mode='host-passthrough'/>" }, 'host,migratable=on'],
    [{ type: 'qemu', body: "<cpu mode='maximum'/>" }, 'max,migratable=on'],
    [{ type: 'qemu', body: "<cpu mode='host-model'/>" }, 'max'],
    [{ body: "<cpu mode='host-model'/>" }, 'host'],
    [
      { body: "<cpu mode='host-model'><feature policy='disable' name='pcid'/></cpu>", hostModel },
      'Haswell,pclmulqdq=on,fxsr-opt=on,rtm=off,pcid=off',
    ],
    [{ type: 'qemu', body: "<cpu mode='host-model'/>", hostModel }, 'Haswell,pclmulqdq=on,fxsr-opt=on,rtm=off'],
    [{ body: "<cpu mode='host-passthrough'/>", hostModel }, 'host,migratable=on'],
    [{}, 'qemu64'],
    [
      {
        body: "<cpu mode='custom' match='exact'><model>EPYC</model><feature policy='require' name='aes'/><feature policy='disable' name='sse4.2'/></cpu>",
      },
      'EPYC,aes=on,sse4.2=off',
    ],
    [{ body: "<clock offset='utc'><timer name='kvmclock' present='no'/></clock>" }, 'qemu64,kvmclock=off'],
  ] as const)('chooses the CPU %#', (given, cpu) => {
    expect(values(build(given), '-cpu')).toEqual([cpu])
  })

  test('states memory and the topology of CPUs', () => {
    expect(values(build({}), '-m')).toEqual(['size=1048576k'])
    expect(values(build({}), '-smp')).toEqual(['2,sockets=2,cores=1,threads=1'])
    const body = "<vcpu current='3'>8</vcpu><cpu><topology sockets='2' dies='1' cores='2' threads='2'/></cpu>"
    expect(values(build({ body }), '-smp')).toEqual(['3,maxcpus=8,sockets=2,cores=2,threads=2'])
  })

  test.each([
    ["<clock offset='localtime'/>", 'base=localtime'],
    ["<clock offset='utc'><timer name='rtc' tickpolicy='catchup'/></clock>", 'base=utc,driftfix=slew'],
    ["<clock offset='variable' adjustment='3600' basis='utc'/>", 'base=2026-01-02T04:04:05'],
    ["<clock offset='absolute' start='86400'/>", 'base=1970-01-02T00:00:00'],
  ])('sets the clock %#', (body, rtc) => {
    expect(values(build({ body }), '-rtc')).toEqual([rtc])
  })

  test('makes a disk of the nodes of its chain, base first, each naming what lies below', () => {
    const devices = fileDisk(
      "<driver name='qemu' type='qcow2' cache='none' io='native' discard='unmap' detect_zeroes='unmap' error_policy='enospace'/><source file='/i/top'/><target dev='vda' bus='virtio'/><serial>A,B</serial>",
    )
    const args = build({ devices, disks: [chain('vda', [3, '/i/top', 'qcow2'], [7, '/i/base', 'raw'])] })
    const nodes = values(args, '-blockdev').map((text): unknown => JSON.parse(text))
    const cache = { direct: true, 'no-flush': false }
    expect(nodes).toEqual([
      {
        driver: 'file',
        filename: '/i/base',
        'node-name': 'layer-7-file',
        'auto-read-only': true,
        discard: 'unmap',
        cache,
        aio: 'native',
      },
      { 'node-name': 'layer-7', 'read-only': true, discard: 'unmap', cache, driver: 'raw', file: 'layer-7-file' },
      {
        driver: 'file',
        filename: '/i/top',
        'node-name': 'layer-3-file',
        'auto-read-only': true,
        discard: 'unmap',
        cache,
        aio: 'native',
      },
      {
        'node-name': 'layer-3',
        'read-only': false,
        discard: 'unmap',
        cache,
        'detect-zeroes': 'unmap',
        driver: 'qcow2',
        file: 'layer-3-file',
        backing: 'layer-7',
      },
    ])
    expect(deviceOf(args, 'virtio-blk-pci')).toBe(
      'virtio-blk-pci,drive=layer-3,id=disk-vda,bootindex=1,write-cache=on,werror=enospc,serial=A,,B',
    )
  })

  test('ends a qcow2 chain where ours ends, whatever the header says', () => {
    const devices = fileDisk("<driver type='qcow2'/><source file='/i/a'/><target dev='vda'/>")
    const [, layer] = values(build({ devices, disks: [chain('vda', [1, '/i/a', 'qcow2'])] }), '-blockdev')
    expect(JSON.parse(layer ?? '')).toMatchObject({ backing: null })
  })

  test.each([
    ['q35', "<target dev='sda' bus='sata'/>", 'ide-hd,bus=ide.0,drive=layer-1,id=disk-sda,bootindex=1'],
    ['q35', "<target dev='sdc' bus='sata'/>", 'ide-hd,bus=ide.2,drive=layer-1,id=disk-sdc,bootindex=1'],
    ['pc', "<target dev='sda' bus='sata'/>", 'ide-hd,bus=sata0.0,drive=layer-1,id=disk-sda,bootindex=1'],
    ['pc', "<target dev='hdc' bus='ide'/>", 'ide-hd,bus=ide.1,unit=0,drive=layer-1,id=disk-hdc,bootindex=1'],
    ['q35', "<target dev='sda' bus='scsi'/>", 'scsi-hd,bus=scsi0.0,scsi-id=0,drive=layer-1,id=disk-sda,bootindex=1'],
    ['q35', "<target dev='sda' bus='usb'/>", 'usb-storage,bus=usb.0,drive=layer-1,id=disk-sda,bootindex=1'],
  ] as const)('puts a disk of machine %s where %s says', (machine, target, wanted) => {
    const devices = fileDisk(`<driver type='raw'/><source file='/i/a'/>${target}`)
    const target_ = /dev='(\w+)'/.exec(target)?.[1] ?? ''
    const args = build({ machine, devices, disks: [chain(target_, [1, '/i/a', 'raw'])] })
    expect(values(args, '-device')).toContain(wanted)
  })

  test('plugs virtio-scsi disks into their controller, and an empty CD drive without a medium', () => {
    const devices = `<controller type='scsi' index='0' model='virtio-scsi'/>
      ${fileDisk("<source file='/i/a'/><target dev='sda' bus='scsi'/>")}
      <disk type='file' device='cdrom'><target dev='sdb' bus='scsi'/></disk>`
    const args = build({ devices, disks: [chain('sda', [1, '/i/a', 'raw'])] })
    expect(deviceOf(args, 'virtio-scsi-pci')).toBe('virtio-scsi-pci,id=scsi0')
    expect(deviceOf(args, 'scsi-hd')).toBe(
      'scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,drive=layer-1,id=disk-sda,bootindex=1',
    )
    expect(deviceOf(args, 'scsi-cd')).toBe('scsi-cd,bus=scsi0.0,channel=0,scsi-id=0,lun=1,id=disk-sdb')
  })

  test('follows the boot order of the definition, of <os> or of the devices', () => {
    const two = `${fileDisk("<source file='/i/a'/><target dev='vda'/>")}<interface type='user'><model type='virtio'/></interface>`
    const disks = [chain('vda', [1, '/i/a', 'raw'])]
    const byOs = build({ os: "<boot dev='network'/><boot dev='hd'/>", devices: two, disks })
    expect(deviceOf(byOs, 'virtio-net-pci')).toContain(',bootindex=1')
    expect(deviceOf(byOs, 'virtio-blk-pci')).toContain(',bootindex=2')
    const byDevice = build({
      devices: two.replace("<target dev='vda'/>", "<target dev='vda'/><boot order='5'/>"),
      disks,
    })
    expect(deviceOf(byDevice, 'virtio-blk-pci')).toContain(',bootindex=5')
    expect(deviceOf(byDevice, 'virtio-net-pci')).not.toContain('bootindex')
  })

  test('takes stated PCI addresses before QEMU hands out free ones, bridges first', () => {
    const devices = `<interface type='user'><mac address='52:54:00:00:00:01'/><model type='e1000'/></interface>
      <interface type='user'><model type='virtio'/><address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></interface>
      <controller type='pci' index='1' model='pcie-root-port'><target chassis='1' port='0x10'/><address type='pci' slot='0x02' function='0x0' multifunction='on'/></controller>`
    const order = values(build({ devices }), '-device').map((text) => text.split(',')[0])
    expect(order.slice(0, 2)).toEqual(['pcie-root-port', 'virtio-net-pci'])
    expect(values(build({ devices }), '-device')[0]).toBe(
      'pcie-root-port,id=pci.1,chassis=1,port=0x10,bus=pcie.0,addr=0x2,multifunction=on',
    )
    expect(deviceOf(build({ devices }), 'virtio-net-pci')).toContain('bus=pci.1,addr=0x0')
    expect(order.indexOf('e1000')).toBeGreaterThan(order.indexOf('qemu-xhci'))
  })

  test('gives serial ports, consoles and channels their host side', () => {
    const devices = `<serial type='pty'/><console type='pty'/><console type='pty'><target type='virtio'/></console>
      <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`
    const args = build({ devices })
    expect(values(args, '-chardev').slice(1)).toEqual([
      'pty,id=charserial0',
      'pty,id=charconsole1',
      'socket,id=charchannel0,path=/run/x/channel0.sock,server=on,wait=off',
    ])
    expect(deviceOf(args, 'isa-serial')).toBe('isa-serial,chardev=charserial0,id=serial0,index=0')
    expect(deviceOf(args, 'virtconsole')).toBe('virtconsole,chardev=charconsole1,id=console1,bus=virtio-serial0.0')
    expect(deviceOf(args, 'virtserialport')).toBe(
      'virtserialport,bus=virtio-serial0.0,nr=1,chardev=charchannel0,id=channel0,name=org.qemu.guest_agent.0',
    )
  })

  test('offers screens at the chosen ports', () => {
    const devices = `<graphics type='vnc' autoport='yes'/><graphics type='vnc' port='5999' listen='::1'/>`
    expect(values(build({ devices, vncPorts: [5903] }), '-vnc')).toEqual(['127.0.0.1:3', '[::1]:99'])
    expect(() => build({ devices, vncPorts: [] })).toThrow(/no port was chosen/)
  })

  const refused: readonly (readonly [string, Given, RegExp])[] = [
    [
      'a network card on a bridge',
      { devices: "<interface type='bridge'><source bridge='br0'/></interface>" },
      /type "bridge" is not supported/,
    ],
    [
      'an unknown card',
      { devices: "<interface type='user'><model type='x,y'/></interface>" },
      /card model "x,y" is not supported/,
    ],
    [
      'an IDE disk on Q35',
      {
        devices: fileDisk("<source file='/a'/><target dev='hda' bus='ide'/>"),
        disks: [chain('hda', [1, '/a', 'raw'])],
      },
      /does not exist on a Q35/,
    ],
    [
      'native io with a cache',
      {
        devices: fileDisk("<driver io='native'/><source file='/a'/><target dev='vda'/>"),
        disks: [chain('vda', [1, '/a', 'raw'])],
      },
      /needs cache none or directsync/,
    ],
    [
      'a CPU feature that would add arguments',
      { body: "<cpu><model>EPYC</model><feature name='aes,pmu=on'/></cpu>" },
      /cannot stand on QEMU's command line/,
    ],
    ['preserve at power off', { body: '<on_poweroff>preserve</on_poweroff>' }, /on_poweroff/],
    ['a time zone', { body: "<clock offset='timezone' timezone='Europe/Berlin'/>" }, /offset "timezone"/],
    ['what was kept without being understood', { body: '<iothreads>2</iothreads>' }, /iothreads/],
    ['a monitor path that is too long', { directory: `/${'r'.repeat(100)}` }, /bytes long, at most 107/],
    ['a sound backend', { devices: "<audio id='1' type='alsa'/>" }, /audio/],
  ]

  test.each(refused)('refuses %s, naming it', (_what, given, message) => {
    expect(() => build(given)).toThrow(message)
    expect(() => build(given)).toThrow(expect.objectContaining({ kind: 'config_unsupported' }))
  })
})

test('optionText() quotes commas by doubling them and leaves undefined out', () => {
  expect(optionText('file', { path: '/a,b', append: true, id: undefined, n: 0 })).toBe('file,path=/a,,b,append=on,n=0')
})
