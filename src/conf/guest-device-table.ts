import type { CapabilityEnum, CapabilityGroup } from './domain-capabilities.ts'
import {
  always,
  arches,
  builtInIde,
  flag,
  type GuestCondition,
  type GuestKind,
  not,
  pseries,
  x86Arches,
} from './guest-kind.ts'

/** Whose abilities are described: all that the emulator has, or what this daemon gives to its guests. */
export type CapabilityScope = 'emulator' | 'daemon'

/** A value that definitions may name, and the guests that have it. */
export interface ValueRow {
  readonly value: string
  readonly when: GuestCondition
  /** Whether this daemon gives it. */
  readonly given: boolean
}

/** A place in a definition that has a closed list of values. */
export interface EnumRow {
  readonly name: string
  readonly values: readonly ValueRow[]
}

/** A kind of device; it is supported where each of the `needs` has a value. */
export interface GroupRow {
  readonly name: string
  readonly enums: readonly EnumRow[]
  readonly needs: readonly string[]
  /** Whether this daemon gives devices of this kind. */
  readonly given: boolean
}

function value(name: string, when: GuestCondition = always): ValueRow {
  return { value: name, when, given: true }
}

/** What the emulator has and this daemon does not give. */
function beyond(name: string, when: GuestCondition = always): ValueRow {
  return { value: name, when, given: false }
}

function choice(name: string, ...values: readonly (string | ValueRow)[]): EnumRow {
  return { name, values: values.map((each) => (typeof each === 'string' ? value(each) : each)) }
}

function group(name: string, enums: readonly EnumRow[], needs: readonly string[] = []): GroupRow {
  return { name, enums, needs, given: true }
}

function groupBeyond(name: string, enums: readonly EnumRow[], needs: readonly string[] = []): GroupRow {
  return { ...group(name, enums, needs), given: false }
}

const isX86 = arches(...x86Arches)
const bothGenerations = flag('virtio-pci-non-transitional')

function virtioModels(device: GuestCondition): readonly ValueRow[] {
  return [
    value('virtio', device),
    ...['virtio-transitional', 'virtio-non-transitional'].map((name) =>
      value(name, (guest) => device(guest) && bothGenerations(guest)),
    ),
  ]
}

/** Where the memory of a guest may come from. */
export const memoryBackingRow: GroupRow = groupBeyond('memoryBacking', [
  choice('sourceType', 'file', 'anonymous', value('memfd', flag('memory-backend-memfd'))),
])

/** Devices in the order of the document, with the guests that have each choice. */
export const deviceRows: readonly GroupRow[] = [
  group('disk', [
    choice('diskDevice', 'disk', 'cdrom', value('floppy', not(pseries)), beyond('lun')),
    choice(
      'bus',
      value('ide', builtInIde),
      value('fdc', not(pseries)),
      'scsi',
      'virtio',
      value('usb', flag('usb-storage')),
      value('sata', flag('ich9-ahci')),
    ),
    choice('model', ...virtioModels(always)),
  ]),
  group('graphics', [
    choice(
      'type',
      beyond('sdl', flag('sdl')),
      value('vnc', flag('vnc')),
      // A program beside the emulator speaks RDP and takes the picture from the message bus.
      beyond('rdp', flag('display-dbus')),
      beyond('spice', flag('spice')),
      beyond('egl-headless', flag('egl-headless')),
      beyond('dbus', flag('display-dbus')),
    ),
  ]),
  group('video', [
    choice(
      'modelType',
      value('vga', flag('VGA')),
      value('cirrus', flag('cirrus-vga')),
      value('vmvga', flag('vmware-svga')),
      value('qxl', flag('qxl')),
      value('virtio', flag('virtio-gpu')),
      'none',
      value('bochs', flag('bochs-display')),
      value('ramfb', flag('ramfb')),
    ),
  ]),
  groupBeyond('hostdev', [
    choice('mode', 'subsystem'),
    choice('startupPolicy', 'default', 'mandatory', 'requisite', 'optional'),
    choice('subsysType', value('usb', flag('usb-host.hostdevice')), 'pci', 'scsi'),
    choice('capsType'),
    choice('pciBackend', 'default', 'vfio'),
  ]),
  group('rng', [
    choice('model', ...virtioModels(flag('virtio-rng'))),
    choice(
      'backendModel',
      value('random', flag('rng-random')),
      beyond('egd', flag('rng-egd')),
      value('builtin', flag('rng-builtin')),
    ),
  ]),
  groupBeyond('filesystem', [choice('driverType', 'path', 'handle', value('virtiofs', flag('vhost-user-fs')))]),
  groupBeyond(
    'tpm',
    [
      choice(
        'model',
        value('tpm-tis', flag('tpm-tis')),
        value('tpm-crb', flag('tpm-crb')),
        value('tpm-spapr', flag('tpm-spapr')),
        value('spapr-tpm-proxy', flag('spapr-tpm-proxy')),
      ),
      choice(
        'backendModel',
        value('passthrough', flag('tpm-passthrough')),
        value('emulator', flag('tpm-emulator')),
        value('external', flag('tpm-emulator')),
      ),
      choice('backendVersion', value('2.0', flag('tpm-emulator'))),
    ],
    ['model', 'backendModel'],
  ),
  groupBeyond('redirdev', [choice('bus', value('usb', flag('usb-redir')))], ['bus']),
  group('channel', [choice('type', 'pty', 'unix', beyond('spicevmc', flag('spice')))]),
  groupBeyond('crypto', [
    choice('model', value('virtio', flag('virtio-crypto'))),
    choice('type', 'qemu'),
    choice('backendModel', 'builtin', value('lkcf', flag('cryptodev-backend-lkcf'))),
  ]),
  group('interface', [choice('backendType', 'default', beyond('passt', flag('netdev.stream')))]),
  groupBeyond(
    'panic',
    [
      choice(
        'model',
        value('isa', (guest) => isX86(guest) && flag('pvpanic')(guest)),
        value('hyperv', isX86),
        value('pseries', pseries),
        value('pvpanic', flag('pvpanic-pci')),
        value('s390', arches('s390x')),
      ),
    ],
    ['model'],
  ),
]

/** A row for one guest. */
export function groupFor(
  row: GroupRow,
  { guest, scope }: { readonly guest: GuestKind; readonly scope: CapabilityScope },
): CapabilityGroup {
  const isGiven = ({ given }: ValueRow | GroupRow): boolean => given || scope === 'emulator'
  const enums = row.enums.map(
    ({ name, values }): CapabilityEnum => ({
      name,
      values: values.filter((each) => isGiven(each) && each.when(guest)).map((each) => each.value),
    }),
  )
  const isMissing = (name: string): boolean => enums.some((each) => each.name === name && each.values.length === 0)
  return !isGiven(row) || row.needs.some(isMissing)
    ? { name: row.name, supported: false, enums: [] }
    : { name: row.name, supported: true, enums }
}
