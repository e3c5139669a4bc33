import type { FaultKind } from '../util/fault.ts'
import { DefinitionError } from '../xml/definition-error.ts'
import { targetIndex } from './disk-target.ts'
import type { DomainDef } from './domain-def.ts'
import type { EmulatorFacts } from './emulator-facts.ts'

/** What a rule found; the message of the error is "Cannot use this definition: <what>". */
interface Finding {
  readonly element: string
  readonly what: string
  readonly kind?: FaultKind
}

type Rule = (def: DomainDef, facts: EmulatorFacts) => Finding | undefined

const emulatorBinary: Rule = (def, facts) => {
  const { emulator } = def.devices
  if (emulator === undefined || emulator === facts.binary) return undefined
  return {
    element: 'domain/devices/emulator',
    what: `emulator "${emulator}" was judged by the facts of "${facts.binary}"`,
    kind: 'internal',
  }
}

const virtType: Rule = (def, facts) => {
  if (facts.virtTypes.some((type) => type === def.type)) return undefined
  return {
    element: 'domain',
    what: `emulator "${facts.binary}" does not support virt type "${def.type}", it supports ${facts.virtTypes.join(', ')}`,
    kind: 'config_unsupported',
  }
}

const osType: Rule = (def) =>
  def.os.type.value === 'hvm'
    ? undefined
    : {
        element: 'domain/os/type',
        what: `OS type "${def.os.type.value}" is not supported, it must be hvm`,
        kind: 'config_unsupported',
      }

const arch: Rule = (def, facts) => {
  const wanted = def.os.type.arch
  if (wanted === undefined || wanted === facts.arch) return undefined
  return {
    element: 'domain/os/type',
    what: `emulator "${facts.binary}" runs architecture "${facts.arch}", the definition wants "${wanted}"`,
    kind: 'config_unsupported',
  }
}

const machine: Rule = (def, facts) => {
  const name = def.os.type.machine
  if (name === undefined || facts.machines.some((known) => known.name === name)) return undefined
  return {
    element: 'domain/os/type',
    what: `emulator "${facts.binary}" has no machine type "${name}"`,
    kind: 'config_unsupported',
  }
}

const memory: Rule = (def) =>
  def.memory.kib > 0n ? undefined : { element: 'domain/memory', what: 'the memory is 0 KiB, it must be more' }

const currentVcpus: Rule = (def) => {
  const { current, count } = def.vcpu
  if (current === undefined || current <= count) return undefined
  return { element: 'domain/vcpu', what: `${current} vCPUs are to be online, there are only ${count}` }
}

const maxVcpus: Rule = (def, facts) => {
  const limit = facts.machines.find((known) => known.name === def.os.type.machine)?.maxCpus
  // Not every machine type states a limit: 0 then.
  if (limit === undefined || limit === 0 || def.vcpu.count <= limit) return undefined
  return {
    element: 'domain/vcpu',
    what: `${def.vcpu.count} vCPUs are asked for, machine type "${def.os.type.machine}" has at most ${limit}`,
    kind: 'config_unsupported',
  }
}

const topology: Rule = (def) => {
  const shape = def.cpu?.topology
  if (shape === undefined) return undefined
  const product = shape.sockets * (shape.dies ?? 1) * (shape.clusters ?? 1) * shape.cores * shape.threads
  if (product === def.vcpu.count) return undefined
  return {
    element: 'domain/cpu/topology',
    what: `the CPU topology makes ${product} CPUs, there are ${def.vcpu.count} vCPUs`,
  }
}

const cpuModel: Rule = (def, facts) => {
  const name = def.cpu?.mode === 'custom' ? def.cpu.model?.name : undefined
  if (name === undefined || facts.cpuModels.length === 0) return undefined
  if (facts.cpuModels.some((model) => model.name === name)) return undefined
  return {
    element: 'domain/cpu/model',
    what: `emulator "${facts.binary}" has no CPU model "${name}"`,
    kind: 'config_unsupported',
  }
}

const cpuFeatures: Rule = (def) => {
  const name = firstRepeated(def.cpu?.features.map((feature) => feature.name) ?? [])
  return name === undefined ? undefined : { element: 'domain/cpu/feature', what: `CPU feature "${name}" occurs twice` }
}

const diskTargets: Rule = (def) => {
  const dev = firstRepeated(def.devices.disks.map((disk) => disk.target.dev))
  if (dev === undefined) return undefined
  return { element: 'domain/devices/disk/target', what: `target "${dev}" is used by two disks` }
}

const diskNames: Rule = (def) => {
  const bad = def.devices.disks.find(({ target }) => target.bus === undefined || !knownTarget(target.dev))
  if (bad === undefined) return undefined
  return {
    element: 'domain/devices/disk/target',
    what: `"${bad.target.dev}" is not the name of a disk, such as vda, sda or hda`,
  }
}

function knownTarget(dev: string): boolean {
  return targetIndex(dev) !== undefined || /^nvme[0-9]/.test(dev)
}

const diskSources: Rule = (def) => {
  const bad = def.devices.disks.find((disk) => {
    if (disk.device === 'cdrom' || disk.device === 'floppy') return false
    return disk.type === 'file' ? !disk.source?.file : disk.type === 'block' && !disk.source?.dev
  })
  if (bad === undefined) return undefined
  return { element: 'domain/devices/disk/source', what: `disk "${bad.target.dev}" has no source` }
}

const driveAddresses: Rule = (def) => {
  const places = def.devices.disks.flatMap(({ address, target }) => {
    if (address?.type !== 'drive') return []
    const at = `controller ${address.controller ?? 0}, bus ${address.bus ?? 0}, target ${address.target ?? 0}, unit ${address.unit ?? 0}`
    return [`${target.bus} ${at}`]
  })
  const place = firstRepeated(places)
  return place === undefined ? undefined : { element: 'domain/devices/disk/address', what: `two disks are at ${place}` }
}

const pciAddresses: Rule = (def) => {
  const { disks, controllers, interfaces, videos, sounds, rngs, watchdogs, memballoon } = def.devices
  const devices = [...disks, ...controllers, ...interfaces, ...videos, ...sounds, ...rngs, ...watchdogs]
  const places = [...devices, ...(memballoon === undefined ? [] : [memballoon])].flatMap(({ address }) => {
    if (address?.type !== 'pci' || address.slot === undefined) return []
    const { domain = 0, bus = 0, slot, function: part = 0 } = address
    return [`${[domain, bus, slot].map((number) => number.toString(16).padStart(2, '0')).join(':')}.${part}`]
  })
  const place = firstRepeated(places)
  return place === undefined
    ? undefined
    : { element: 'domain/devices', what: `PCI address ${place} is used by two devices` }
}

const controllerIndexes: Rule = (def) => {
  // The companions of a USB 2 controller share its index.
  const others = def.devices.controllers.filter((controller) => controller.type !== 'usb')
  const place = firstRepeated(others.map(({ type, index = 0 }) => `${type} controller ${index}`))
  return place === undefined ? undefined : { element: 'domain/devices/controller', what: `there are two of ${place}` }
}

const bootOrders: Rule = (def) => {
  const devices = [...def.devices.disks, ...def.devices.interfaces]
  const orders = devices.flatMap((device) => (device.boot === undefined ? [] : [String(device.boot.order)]))
  if (orders.length > 0 && def.os.boot.length > 0) {
    return {
      element: 'domain/os/boot',
      what: 'both <os> and the devices state a boot order, only one of them may',
      kind: 'config_unsupported',
    }
  }
  const order = firstRepeated(orders)
  return order === undefined
    ? undefined
    : { element: 'domain/devices', what: `boot order ${order} is used by two devices` }
}

const aliases: Rule = (def) => {
  const { disks, controllers, interfaces, serials, channels, videos, inputs } = def.devices
  const devices = [...disks, ...controllers, ...interfaces, ...serials, ...channels, ...videos, ...inputs]
  const name = firstRepeated(devices.flatMap((device) => device.alias?.name ?? []))
  return name === undefined ? undefined : { element: 'domain/devices', what: `alias "${name}" is used by two devices` }
}

const primaryVideo: Rule = (def) => {
  const primaries = def.devices.videos.filter((video) => video.model?.primary === true)
  if (primaries.length <= 1) return undefined
  return {
    element: 'domain/devices/video/model',
    what: `${primaries.length} graphics cards are primary, only one can be`,
  }
}

function firstRepeated(values: readonly string[]): string | undefined {
  const seen = new Set<string>()
  for (const value of values) {
    if (seen.has(value)) return value
    seen.add(value)
  }
  return undefined
}

/** Every rule by its id, in the order in which they are checked. */
const rules: Readonly<Record<string, Rule>> = {
  'emulator-binary': emulatorBinary,
  'os-type': osType,
  arch,
  'virt-type': virtType,
  machine,
  'memory-zero': memory,
  'vcpu-current': currentVcpus,
  'vcpu-maximum': maxVcpus,
  'cpu-topology': topology,
  'cpu-model': cpuModel,
  'cpu-feature-unique': cpuFeatures,
  'disk-target-name': diskNames,
  'disk-target-unique': diskTargets,
  'disk-source': diskSources,
  'drive-address-unique': driveAddresses,
  'pci-address-unique': pciAddresses,
  'controller-unique': controllerIndexes,
  'boot-order': bootOrders,
  'alias-unique': aliases,
  'video-primary': primaryVideo,
}

/** Judges a completed definition by the facts of its emulator. Throws DefinitionError with the element and rule of the first fault. */
export function validateDomain(def: DomainDef, facts: EmulatorFacts): void {
  for (const [rule, check] of Object.entries(rules)) {
    const found = check(def, facts)
    if (found === undefined) continue
    const { element, what, kind = 'xml_error' } = found
    throw new DefinitionError({ element, rule, message: `Cannot use this definition: ${what}`, kind })
  }
}
