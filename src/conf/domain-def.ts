import { element, type OptionalPart, type Parsed } from '../xml/codec.ts'
import { attribute, child, optional, text, textChild, verbatim, withDefault } from '../xml/parts.ts'
import { anyText, oneOf, positiveInt, uuidText, type ValueCodec } from '../xml/value-codec.ts'
import { childOf, type XmlNode } from '../xml/xml-node.ts'
import { clock, powerManagement } from './clock-def.ts'
import { cpu } from './cpu-def.ts'
import { devices } from './devices-def.ts'
import { features } from './features-def.ts'
import { domainMemory, memorySize } from './memory-size.ts'
import { os } from './os-def.ts'

/** A name is a file name and a line of `virsh list`, so it holds no slash, no line break, and something to see. */
const domainName: ValueCodec<string> = {
  rule: 'domain-name',
  wanted: 'a name that is not blank and holds neither "/" nor a line break',
  parse: (name) => (/[/\n\r]/.test(name) || /^\s*$/.test(name) ? undefined : name),
  print: (name) => name,
}

/** One line of text. */
const title: ValueCodec<string> = {
  rule: 'one-line',
  wanted: 'one line',
  parse: (written) => (written.includes('\n') ? undefined : written),
  print: (value) => value,
}

const vcpu = element('vcpu', {
  placement: optional(attribute('placement', oneOf('static', 'auto'))),
  cpuset: optional(attribute('cpuset', anyText)),
  current: optional(attribute('current', positiveInt)),
  count: text(positiveInt),
})

/** Contents of `<metadata>`: belongs to the clients, printed back as it came. It is not hardware, so it is never "not understood". */
const metadata: OptionalPart<readonly XmlNode[]> = {
  attributes: [],
  elements: ['metadata'],
  optional: true,
  read(source) {
    const found = childOf(source, 'metadata')
    if (found === undefined) return undefined
    const contents: XmlNode[] = []
    for (const node of found.children) {
      if (node.kind === 'element') contents.push({ ...node, verbatim: true })
      else if (node.kind === 'comment' || node.kind === 'instruction') contents.push(node)
    }
    return contents.length === 0 ? undefined : contents
  },
  write(value, draft) {
    if (value !== undefined) draft.children.push({ kind: 'element', name: 'metadata', attributes: [], children: value })
  },
}

const action = oneOf('destroy', 'restart', 'rename-restart', 'preserve')
const crashAction = oneOf('destroy', 'restart', 'rename-restart', 'preserve', 'coredump-destroy', 'coredump-restart')
const domainType = oneOf(
  ...(['qemu', 'kvm', 'test', 'hvf', 'xen', 'lxc', 'uml', 'openvz', 'vmware', 'hyperv', 'vbox', 'phyp'] as const),
  ...(['parallels', 'bhyve', 'vz', 'kqemu'] as const),
)

/**
 * `<domain>`: the definition of a machine. Parts in canonical order. What this version does not understand is kept
 * verbatim in its place, or in `kept` behind the rest; `keptPaths` names all of it.
 */
export const domain = element('domain', {
  type: attribute('type', domainType),
  /** Only in the definition of a running domain. */
  id: optional(attribute('id', anyText)),
  name: textChild('name', domainName),
  uuid: optional(textChild('uuid', uuidText)),
  genid: verbatim('genid'),
  title: optional(textChild('title', title)),
  description: optional(textChild('description', anyText)),
  metadata,
  maxMemory: verbatim('maxMemory'),
  memory: domainMemory(),
  currentMemory: optional(child(memorySize('currentMemory'))),
  blkiotune: verbatim('blkiotune'),
  memtune: verbatim('memtune'),
  memoryBacking: verbatim('memoryBacking'),
  vcpu: withDefault(child(vcpu), { placement: 'static', count: 1 }),
  vcpus: verbatim('vcpus'),
  iothreads: verbatim('iothreads'),
  iothreadids: verbatim('iothreadids'),
  defaultIothread: verbatim('defaultiothread'),
  cputune: verbatim('cputune'),
  numatune: verbatim('numatune'),
  throttleGroups: verbatim('throttlegroups'),
  resource: verbatim('resource'),
  sysinfo: verbatim('sysinfo'),
  bootloader: verbatim('bootloader', 'bootloader_args'),
  os: child(os),
  idmap: verbatim('idmap'),
  features: optional(child(features)),
  cpu: optional(child(cpu)),
  clock: withDefault(child(clock), { offset: 'utc', timers: [] }),
  onPoweroff: withDefault(textChild('on_poweroff', action), 'destroy'),
  onReboot: withDefault(textChild('on_reboot', action), 'restart'),
  onCrash: withDefault(textChild('on_crash', crashAction), 'destroy'),
  onLockFailure: verbatim('on_lockfailure'),
  pm: optional(child(powerManagement)),
  perf: verbatim('perf'),
  devices: withDefault(child(devices), emptyDevices()),
  seclabels: verbatim('seclabel'),
  qemuCommandLine: verbatim('qemu:commandline', 'qemu:capabilities', 'qemu:override', 'qemu:deprecation'),
  keywrap: verbatim('keywrap'),
  launchSecurity: verbatim('launchSecurity'),
})

function emptyDevices(): Parsed<typeof devices> {
  return devices.read({ kind: 'element', name: 'devices', attributes: [], children: [] }, 'domain/devices')
}

/** The definition of a machine. */
export type DomainDef = Parsed<typeof domain>
