import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DiskChain } from '../../src/driver/driver.ts'
import { makeGuestDisk } from '../support/guest-disk.ts'
import { never, QemuKit, testEmulator } from '../support/qemu-kit.ts'
import { requireTool } from '../support/require-tool.ts'

const present = requireTool('qemu-system-x86') && requireTool('qemu-utils')
const kvm = requireTool('kvm')
const uuid = '00000000-0000-4000-8000-0000000000ac'

interface Row {
  readonly machine?: 'q35' | 'pc'
  readonly type?: 'kvm'
  readonly body?: string
  readonly devices?: string
  /** Targets of disks among the devices, whose source is written as DISK. */
  readonly disks?: readonly string[]
  readonly vncPorts?: readonly number[]
}

const disk = (target: string, more = ''): string =>
  `<disk type='file' device='disk'>${more}<source file='DISK'/>${target}</disk>`
const pci = (slot: string, bus = '0x00'): string =>
  `<address type='pci' domain='0x0000' bus='${bus}' slot='${slot}' function='0x0'/>`

const rows: readonly (readonly [what: string, row: Row])[] = [
  ['nothing but a machine', {}],
  ['an i440FX', { machine: 'pc' }],
  [
    'a CPU with features',
    {
      body: "<cpu mode='custom'><model>Nehalem</model><feature policy='require' name='aes'/><feature policy='disable' name='vme'/></cpu>",
    },
  ],
  ['maximum', { body: "<cpu mode='maximum'/>" }],
  ['host-model', { body: "<cpu mode='host-model'/>" }],
  ['host-model of the processor', { type: 'kvm', body: "<cpu mode='host-model'/>" }],
  [
    'a topology with offline CPUs',
    { body: "<vcpu current='1'>4</vcpu><cpu><topology sockets='1' dies='1' cores='2' threads='2'/></cpu>" },
  ],
  [
    'features',
    {
      body: "<features><acpi/><apic/><pae/><vmport state='off'/><smm state='on'/><vmcoreinfo state='on'/><pmu state='off'/></features>",
    },
  ],
  ['no ACPI', { machine: 'pc', body: '<features><apic/></features>' }],
  [
    'clock and timers',
    {
      body: "<features><acpi/></features><clock offset='variable' adjustment='60' basis='utc'><timer name='rtc' tickpolicy='catchup'/><timer name='pit' tickpolicy='delay'/><timer name='hpet' present='no'/></clock>",
    },
  ],
  ['sleep states on Q35', { body: "<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>" }],
  ['sleep states on i440FX', { machine: 'pc', body: "<pm><suspend-to-mem enabled='yes'/></pm>" }],
  ['on_reboot destroy', { body: '<on_reboot>destroy</on_reboot>' }],
  ['boot menu', { body: '' }],
  [
    'a balloon below the maximum',
    {
      body: "<currentMemory unit='MiB'>32</currentMemory>",
      devices: "<memballoon model='virtio' autodeflate='on' freePageReporting='on'><stats period='10'/></memballoon>",
    },
  ],
  ['no balloon', { devices: "<memballoon model='none'/>" }],
  ...(['none', 'writethrough', 'writeback', 'directsync', 'unsafe'] as const).map(
    (cache) =>
      [
        `cache ${cache}`,
        { devices: disk("<target dev='vda'/>", `<driver name='qemu' type='qcow2' cache='${cache}'/>`), disks: ['vda'] },
      ] as const,
  ),
  [
    'native io, discards, zero detection',
    {
      devices: disk(
        "<target dev='vda'/>",
        "<driver type='qcow2' cache='none' io='native' discard='unmap' detect_zeroes='unmap' queues='2' error_policy='enospace' rerror_policy='report'/>",
      ),
      disks: ['vda'],
    },
  ],
  [
    'threads, discards ignored',
    {
      devices: disk(
        "<target dev='vda'/>",
        "<driver type='qcow2' io='threads' discard='ignore' detect_zeroes='unmap'/>",
      ),
      disks: ['vda'],
    },
  ],
  [
    'disks on SATA',
    {
      devices:
        disk("<target dev='sda' bus='sata'/>", "<driver type='qcow2'/>") +
        "<disk type='file' device='cdrom'><target dev='sdb' bus='sata'/></disk>",
      disks: ['sda'],
    },
  ],
  [
    'disks on IDE',
    {
      machine: 'pc',
      devices:
        disk("<target dev='hda' bus='ide'/>", "<driver type='qcow2'/>") +
        "<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>",
      disks: ['hda'],
    },
  ],
  [
    'a disk on the default SCSI controller',
    { devices: disk("<target dev='sda' bus='scsi'/>", "<driver type='qcow2'/>"), disks: ['sda'] },
  ],
  [
    'disks on virtio-scsi',
    {
      devices:
        "<controller type='scsi' index='0' model='virtio-scsi'/>" +
        disk("<target dev='sda' bus='scsi'/>", "<driver type='qcow2'/>"),
      disks: ['sda'],
    },
  ],
  [
    'a disk on USB',
    { devices: disk("<target dev='sda' bus='usb' removable='on'/>", "<driver type='qcow2'/>"), disks: ['sda'] },
  ],
  [
    'a floppy on i440FX',
    { machine: 'pc', devices: "<disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>" },
  ],
  ['a floppy on Q35', { devices: "<disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>" }],
  [
    'a read-only, shared disk with serial',
    {
      devices: disk("<target dev='vda'/><readonly/><shareable/><serial>S,1</serial>", "<driver type='qcow2'/>"),
      disks: ['vda'],
    },
  ],
  ...(
    ['virtio', 'e1000', 'e1000e', 'rtl8139', 'pcnet', 'ne2k_pci', 'i82559er', 'vmxnet3', 'virtio-transitional'] as const
  ).map(
    (model) =>
      [
        `network card ${model}`,
        {
          machine: model === 'virtio-transitional' ? 'pc' : 'q35',
          devices: `<interface type='user'><model type='${model}'/><link state='down'/></interface>`,
        },
      ] as const,
  ),
  [
    'serial ports',
    {
      devices:
        "<serial type='pty'/><serial type='null'/><serial type='pty'><target type='pci-serial'/></serial><serial type='pty'><target type='usb-serial'/></serial><parallel type='null'/>",
    },
  ],
  [
    'virtio consoles and channels',
    {
      devices:
        "<console type='pty'><target type='virtio'/></console><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel><channel type='pty'><target type='virtio' name='x'/></channel>",
    },
  ],
  ...(['vga', 'cirrus', 'qxl', 'virtio', 'bochs', 'vmvga'] as const).map(
    (model, at) =>
      [
        `graphics card ${model}`,
        // Each its own: the port of the QEMU before is free only when all of its process is gone.
        {
          devices: `<graphics type='vnc' autoport='yes'/><video><model type='${model}'/></video>`,
          vncPorts: [5980 + at],
        },
      ] as const,
  ),
  [
    'two screens',
    {
      devices:
        "<graphics type='vnc' port='5972'/><video><model type='qxl' heads='1'/></video><video><model type='virtio' heads='2'/></video>",
    },
  ],
  [
    'inputs',
    {
      devices:
        "<input type='tablet' bus='usb'/><input type='keyboard' bus='usb'/><input type='mouse' bus='virtio'/><input type='keyboard' bus='virtio'/>",
    },
  ],
  ['sound', { devices: "<sound model='ich6'/><sound model='ich9'/><sound model='ac97'/><sound model='usb'/>" }],
  [
    'sources of entropy',
    {
      devices:
        "<rng model='virtio'><rate bytes='1024' period='2000'/><backend model='random'>/dev/urandom</backend></rng><rng model='virtio'><backend model='builtin'/></rng>",
    },
  ],
  [
    'watchdog and panic',
    {
      body: '<on_crash>preserve</on_crash>',
      devices: "<watchdog model='i6300esb' action='poweroff'/><panic model='isa'/>",
    },
  ],
  [
    'USB 2 with companions',
    {
      devices: `<controller type='usb' index='0' model='ich9-ehci1'>${pci('0x1d').replace("function='0x0'", "function='0x7'")}</controller><controller type='usb' index='0' model='ich9-uhci1'>${pci('0x1d').replace("function='0x0'", "function='0x0' multifunction='on'")}</controller>`,
    },
  ],
  [
    'PCI bridges of a Q35',
    {
      devices: `<controller type='pci' index='1' model='pcie-root-port'><target chassis='1' port='0x10'/>${pci('0x02')}</controller><controller type='pci' index='2' model='pcie-to-pci-bridge'>${pci('0x00', '0x01')}</controller><controller type='pci' index='3' model='dmi-to-pci-bridge'>${pci('0x1e')}</controller><interface type='user'><model type='e1000'/>${pci('0x01', '0x02')}</interface>`,
    },
  ],
  [
    'a bridge of an i440FX',
    {
      machine: 'pc',
      devices: `<controller type='pci' index='1' model='pci-bridge'>${pci('0x05')}</controller><interface type='user'><model type='e1000'/>${pci('0x01', '0x01')}</interface>`,
    },
  ],
]

describe.skipIf(!present)('real QEMU accepts the command line', () => {
  let kit: QemuKit

  beforeAll(async () => {
    kit = await QemuKit.open()
    await makeGuestDisk(kit.image('disk.qcow2'), { pace: 'idle' })
  })
  afterAll(async () => {
    await kit[Symbol.asyncDispose]()
  })

  test.each(rows.filter(([, { type }]) => type !== 'kvm' || kvm))('of %s', async (what, row) => {
    const { machine = 'q35', type = 'qemu', body = '', devices = '', disks = [], vncPorts = [] } = row
    const os = what === 'boot menu' ? "<bootmenu enable='yes' timeout='100'/>" : ''
    const xml = `<domain type='${type}'><name>accepts</name><uuid>${uuid}</uuid><memory unit='MiB'>64</memory>
      ${body.includes('<vcpu') ? '' : '<vcpu>1</vcpu>'}<os><type arch='x86_64' machine='${machine}'>hvm</type>${os}</os>${body}
      <devices><emulator>${testEmulator}</emulator>${devices.replaceAll('DISK', kit.image('disk.qcow2'))}</devices></domain>`
    const chains = disks.map((target): DiskChain => {
      return {
        target,
        readOnly: devices.includes('<readonly/>'),
        layers: [{ index: 1, path: kit.image('disk.qcow2'), format: 'qcow2' }],
      }
    })
    await kit.start(await kit.request(xml, chains, vncPorts), { paused: true })
    const known = await kit.driver.queryChains(uuid, never)
    expect(known.map(({ target }) => target)).toEqual(disks)
    await kit.driver.destroy(uuid, never)
  })

  test('of a direct kernel boot', async () => {
    // A kernel of 4 KiB: QEMU reads its header, nothing runs it.
    const kernel = Buffer.alloc(4096)
    kernel.write('HdrS', 0x202)
    kernel.writeUInt16LE(0x0206, 0x206)
    kernel.writeUInt16LE(0xaa55, 0x1fe)
    kernel.writeUInt8(1, 0x1f1)
    await writeFile(kit.image('kernel'), kernel, { mode: 0o644 })
    const os = `<kernel>${kit.image('kernel')}</kernel><cmdline>console=ttyS0,115200 quiet</cmdline>`
    const xml = `<domain type='qemu'><name>kernel</name><uuid>${uuid}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>
      <os><type arch='x86_64' machine='q35'>hvm</type>${os}</os><devices><emulator>${testEmulator}</emulator></devices></domain>`
    const started = await kit.start(await kit.request(xml, []), { paused: true })
    expect(started.commandLine).toContain('console=ttyS0,115200 quiet')
    await kit.driver.destroy(uuid, never)
  })
})
