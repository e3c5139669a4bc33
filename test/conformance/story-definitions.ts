import type { VirtType } from './story-world.ts'

/** UUID of the domain that the story is about. */
export const storyUuid = '5e7e0a11-6d2c-4b0a-9c55-0f5b7c1e2d01'

/** The definition files of the story by name. `{dir}` stands for the directory of the images. */
export function storyDefinitions(directory: string, virtType: VirtType): Readonly<Record<string, string>> {
  const texts: Readonly<Record<string, string>> = {
    'story.xml': mainDefinition(virtType),
    'same-name.xml': small({ virtType, name: 'story', uuid: 'aaaaaaaa-0000-4000-8000-000000000001' }),
    'same-uuid.xml': small({ virtType, name: 'other', uuid: storyUuid }),
    'digits.xml': small({ virtType, name: '007', uuid: '00000000-0000-4000-8000-000000000007' }),
    'host-model.xml': small({
      virtType,
      name: 'host-model',
      uuid: 'aaaaaaaa-0000-4000-8000-000000000002',
      extra: virtType === 'kvm' ? `<cpu mode='host-model' check='partial'/>` : '',
    }),
    'host-passthrough.xml': small({
      virtType,
      name: 'host-passthrough',
      uuid: 'aaaaaaaa-0000-4000-8000-00000000000a',
      extra: virtType === 'kvm' ? `<cpu mode='host-passthrough' check='none' migratable='on'/>` : '',
    }),
    'custom-cpu.xml': small({
      virtType,
      name: 'custom-cpu',
      uuid: 'aaaaaaaa-0000-4000-8000-000000000003',
      extra: `<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model>
        <feature policy='disable' name='svm'/></cpu>`,
    }),
    'missing-disk.xml': small({
      virtType,
      name: 'missing-disk',
      uuid: 'aaaaaaaa-0000-4000-8000-000000000004',
      devices: disk('{dir}/no-such-file.qcow2', 'vda'),
    }),
    'no-emulator.xml': small({
      virtType,
      name: 'no-emulator',
      uuid: 'aaaaaaaa-0000-4000-8000-000000000005',
      devices: '<emulator>/usr/bin/qemu-system-nothing</emulator>',
    }),
    'python.xml': small({
      virtType,
      name: 'python',
      uuid: 'aaaaaaaa-0000-4000-8000-00000000000b',
      extra: `<title>Told by Python</title>
        <metadata><o:owner xmlns:o='https://example.org/owner/1'><o:team>storage</o:team></o:owner></metadata>`,
      devices: `${disk('{dir}/python.qcow2', 'vda')}<memballoon model='virtio'/>`,
    }),
    'malformed.xml': '<domain><name>x</name>',
    'two-roots.xml': `${small({ virtType, name: 'two-roots', uuid: 'aaaaaaaa-0000-4000-8000-000000000008' })}<domain/>`,
    'nameless.xml': `<domain type='${virtType}'><memory>1</memory><os><type>hvm</type></os></domain>`,
    'no-type.xml': '<domain><name>x</name><memory>65536</memory><os><type>hvm</type></os></domain>',
    'bad-disk.xml': small({
      virtType,
      name: 'bad-disk',
      uuid: 'aaaaaaaa-0000-4000-8000-000000000009',
      devices: `<disk type='file' device='disk'><source file='{dir}/scratch.raw'/></disk>`,
    }),
  }
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, text.replaceAll('{dir}', directory)]))
}

const disk = (file: string, target: string): string =>
  `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${file}'/><target dev='${target}' bus='virtio'/></disk>`

interface SmallDomain {
  readonly virtType: VirtType
  readonly name: string
  readonly uuid: string
  readonly extra?: string
  readonly devices?: string
}

const small = ({ virtType, name, uuid, extra = '', devices = '' }: SmallDomain): string =>
  `<domain type='${virtType}'><name>${name}</name><uuid>${uuid}</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>${extra}<devices>${devices}</devices></domain>`

// Every family of elements that can be defined at this stage but the CPU: nested virtualization often cannot start a guest
// with the CPU of its host, so CPU modes have small definitions of their own, which are never started.
const mainDefinition = (virtType: VirtType): string => `<domain type='${virtType}'>
  <name>story</name>
  <uuid>${storyUuid}</uuid>
  <title>The story's guest</title>
  <description>It writes blocks that can be verified; &lt;angle&gt; brackets and "quotes" stay.</description>
  <metadata>
    <o:owner xmlns:o='https://example.org/owner/1'><o:team>storage</o:team></o:owner>
  </metadata>
  <memory unit='MiB'>64</memory>
  <currentMemory unit='MiB'>64</currentMemory>
  <vcpu placement='static'>2</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <boot dev='hd'/>
  </os>
  <features><acpi/><apic/></features>
  <clock offset='utc'>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='pit' tickpolicy='delay'/>
    <timer name='hpet' present='no'/>
  </clock>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{dir}/system.qcow2'/>
      <target dev='vda' bus='virtio'/>
      <serial>SYSTEM01</serial>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='writeback' discard='unmap'/>
      <source file='{dir}/data.qcow2'/>
      <backingStore type='file'>
        <format type='qcow2'/>
        <source file='{dir}/base.qcow2'/>
        <backingStore/>
      </backingStore>
      <target dev='vdb' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{dir}/scratch.raw'/>
      <target dev='vdc' bus='virtio'/>
    </disk>
    <interface type='user'>
      <mac address='52:54:00:5e:7e:01'/>
      <model type='virtio'/>
    </interface>
    <interface type='user'>
      <mac address='52:54:00:5e:7e:02'/>
      <model type='e1000'/>
    </interface>
    <serial type='pty'><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>
    <video><model type='virtio'/></video>
    <memballoon model='virtio'><stats period='2'/></memballoon>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>
`
