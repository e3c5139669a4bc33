import { DefinitionError } from '../xml/definition-error.ts'
import { printXml } from '../xml/print-xml.ts'
import type { XmlElement } from '../xml/xml-node.ts'
import type { EmulatorFacts, EmulatorMachine, EmulatorVirtType } from './emulator-facts.ts'
import { leaf, tree } from './xml-tree.ts'

/** Which machine and accelerator the document is about; absent: the emulator's own defaults. */
export interface DomainCapabilitiesQuestion {
  readonly machine?: string
  readonly virtType?: EmulatorVirtType
}

type Values = Readonly<Record<string, readonly string[]>>

/** What this version can give to a guest, in canonical order; null: nothing of the kind. */
const deviceTable: Readonly<Record<string, Values | null>> = {
  disk: {
    diskDevice: ['disk', 'cdrom', 'floppy'],
    bus: ['ide', 'fdc', 'scsi', 'virtio', 'usb', 'sata'],
    model: ['virtio', 'virtio-transitional', 'virtio-non-transitional'],
  },
  graphics: { type: ['vnc'] },
  video: { modelType: ['vga', 'cirrus', 'qxl', 'virtio', 'none', 'bochs'] },
  hostdev: null,
  rng: {
    model: ['virtio', 'virtio-transitional', 'virtio-non-transitional'],
    backendModel: ['random', 'builtin'],
  },
  filesystem: null,
  tpm: null,
  redirdev: null,
  channel: { type: ['pty', 'unix'] },
}

// In canonical order, which the schema fixes.
const featureTable = {
  gic: 'no',
  genid: 'no',
  backingStoreInput: 'yes',
  backup: 'no',
  sev: 'no',
  sgx: 'no',
  hyperv: 'no',
} as const

function refuse(rule: string, what: string): never {
  const message = `Cannot describe domain capabilities: ${what}`
  throw new DefinitionError({ element: 'domainCapabilities', rule, message, kind: 'invalid_arg' })
}

function chooseMachine(facts: EmulatorFacts, wanted: string | undefined): EmulatorMachine | undefined {
  if (wanted === undefined) return facts.machines.find((known) => known.isDefault) ?? facts.machines[0]
  const found = facts.machines.find((known) => known.name === wanted || known.alias === wanted)
  return found ?? refuse('machine', `emulator "${facts.binary}" has no machine type "${wanted}"`)
}

/** Prints `<domainCapabilities>` of one emulator. Throws DefinitionError when it has no such machine or accelerator. */
export function formatDomainCapabilities(facts: EmulatorFacts, question: DomainCapabilitiesQuestion = {}): string {
  const machine = chooseMachine(facts, question.machine)
  const virtType = question.virtType ?? facts.virtTypes[0] ?? 'qemu'
  if (!facts.virtTypes.includes(virtType)) {
    refuse('virt-type', `emulator "${facts.binary}" does not support virt type "${virtType}"`)
  }
  const document = tree('domainCapabilities', {}, [
    leaf('path', facts.binary),
    leaf('domain', virtType),
    machine === undefined ? undefined : leaf('machine', machine.name),
    leaf('arch', facts.arch),
    machine === undefined || machine.maxCpus <= 0 ? undefined : tree('vcpu', { max: machine.maxCpus }),
    tree('iothreads', { supported: 'no' }),
    // The machine's own firmware is all that is offered: loader and nvram come with UEFI support.
    tree('os', { supported: 'yes' }, [tree('enum', { name: 'firmware' }), tree('loader', { supported: 'no' })]),
    cpuElement(facts, virtType),
    tree('devices', {}, Object.entries(deviceTable).map(deviceElement)),
    featuresElement(),
  ])
  return printXml(document, { indent: 2 })
}

function deviceElement([name, enums]: readonly [string, Values | null]): XmlElement {
  return enums === null ? tree(name, { supported: 'no' }) : tree(name, { supported: 'yes' }, enumElements(enums))
}

function enumElements(enums: Values): XmlElement[] {
  return Object.entries(enums).map(([name, values]) =>
    tree(
      'enum',
      { name },
      values.map((value) => leaf('value', value)),
    ),
  )
}

function cpuElement(facts: EmulatorFacts, virtType: EmulatorVirtType): XmlElement {
  const hardware = virtType === 'kvm'
  // The schema wants a vendor; probes do not tell it.
  const models = facts.cpuModels.map(({ name, usable }) =>
    leaf('model', name, { usable: usable ? 'yes' : 'no', vendor: 'unknown' }),
  )
  const switchable = (name: string): XmlElement[] => enumElements({ [name]: ['on', 'off'] })
  return tree('cpu', {}, [
    tree(
      'mode',
      { name: 'host-passthrough', supported: hardware ? 'yes' : 'no' },
      hardware ? switchable('hostPassthroughMigratable') : [],
    ),
    tree('mode', { name: 'maximum', supported: 'yes' }, switchable('maximumMigratable')),
    tree('mode', { name: 'host-model', supported: hardware ? 'yes' : 'no' }),
    tree('mode', { name: 'custom', supported: models.length > 0 ? 'yes' : 'no' }, models),
  ])
}

function featuresElement(): XmlElement {
  const features = Object.entries(featureTable)
  return tree(
    'features',
    {},
    features.map(([name, supported]) => tree(name, { supported })),
  )
}
