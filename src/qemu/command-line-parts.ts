import type { HostModel } from '../conf/best-x86-model.ts'
import type { ClockDef } from '../conf/clock-def.ts'
import type { DeviceAddress } from '../conf/device-info.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import type { EmulatorFacts } from '../conf/emulator-facts.ts'
import type { DiskChain } from '../driver/driver.ts'
import { Fault } from '../util/fault.ts'

/** Everything a command line is made of; building it reads nothing else. */
export interface CommandLineRequest {
  readonly uuid: string
  readonly name: string
  readonly definition: DomainDef
  readonly caps: EmulatorFacts
  readonly accelerator: 'kvm' | 'tcg'
  /** What CPU mode `host-model` means; null where it has no name. */
  readonly hostModel: HostModel | null
  readonly disks: readonly DiskChain[]
  /** Ports for those screens that leave theirs open, in their order. */
  readonly vncPorts: readonly number[]
  readonly paths: CommandLinePaths
  /** Now, for clocks that are set relative to it. */
  readonly nowMs: number
}

/** Where QEMU puts what belongs to this run. */
export interface CommandLinePaths {
  /** Belongs to the QEMU user; sockets of channels lie here. */
  readonly directory: string
  readonly monitor: string
  readonly pidFile: string
}

/** A value of a property: booleans are on or off, undefined leaves it out. */
export type PropertyValue = string | number | bigint | boolean | undefined

/** Properties of a device or option, in the order in which they are printed. */
export type Properties = Readonly<Record<string, PropertyValue>>

/** One `-device`. PCI addresses that are stated must be taken before QEMU hands out the free ones, so devices are put in order at the end. */
export interface DeviceArgument {
  readonly driver: string
  readonly role: 'bridge' | 'controller' | 'device'
  readonly properties: Properties
}

/** What a family of devices adds to a command line. */
export interface CommandLinePart {
  /** Options other than `-device`, which stand before all devices. */
  readonly options: readonly string[]
  readonly devices: readonly DeviceArgument[]
}

/** A family of devices. Throws Fault (`config_unsupported`) naming what of the definition it cannot realise. */
export type CommandLineFamily = (request: CommandLineRequest) => CommandLinePart

/** A part of options alone. */
export function optionsOnly(options: readonly string[]): CommandLinePart {
  return { options, devices: [] }
}

/** A device of the usual kind. */
export function device(driver: string, properties: Properties): DeviceArgument {
  return { driver, role: 'device', properties }
}

/** Prints `head,key=value,...`; commas in values are doubled, which is QEMU's way to quote them. */
export function optionText(head: string, properties: Properties): string {
  const printed = Object.entries(properties).flatMap(([key, value]) => {
    if (value === undefined) return []
    const text = typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)
    return [`${key}=${text.replaceAll(',', ',,')}`]
  })
  return [head, ...printed].filter((part) => part !== '').join(',')
}

/** Whether the machine is a Q35. */
export function isQ35({ os }: DomainDef): boolean {
  return /^(?:pc-)?q35(?:-|$)/.test(os.type.machine ?? '')
}

/** Whether the machine is an i440FX PC. */
export function isI440fx({ os }: DomainDef): boolean {
  return /^(?:pc|pc-i440fx-.*)$/.test(os.type.machine ?? '')
}

/** Name of the bus of a PCI controller. */
export function pciBus(definition: DomainDef, index: number): string {
  if (index > 0) return `pci.${index}`
  return isI440fx(definition) ? 'pci.0' : 'pcie.0'
}

/** Properties for a stated PCI address; none when QEMU may choose. */
export function pciPlace(definition: DomainDef, address: DeviceAddress | undefined): Properties {
  if (address?.type !== 'pci' || address.slot === undefined) return {}
  if ((address.domain ?? 0) !== 0)
    throw unsupported('devices/address', `PCI domain ${address.domain} is not supported, it must be 0`)
  const part = address.function ?? 0
  const slot = `0x${address.slot.toString(16)}`
  return {
    bus: pciBus(definition, address.bus ?? 0),
    addr: part === 0 ? slot : `${slot}.0x${part.toString(16)}`,
    multifunction: address.multifunction === true ? true : undefined,
  }
}

/** Properties for a place on a USB bus. */
export function usbPlace(address: DeviceAddress | undefined): Properties {
  if (address?.type !== 'usb') return { bus: 'usb.0' }
  return { bus: `${usbId(address.bus ?? 0)}.0`, port: address.port }
}

/** Id of a USB controller; the first one's is that which QEMU itself gives. */
export function usbId(index: number): string {
  return index === 0 ? 'usb' : `usb${index}`
}

/** Suffix of the virtio variants of a device: the same guest hardware, other bus versions. */
export function virtioVariant(model: string | undefined): string {
  if (model === 'virtio-transitional') return '-transitional'
  return model === 'virtio-non-transitional' ? '-non-transitional' : ''
}

/** The fault for something of a definition that a start cannot realise. */
export function unsupported(element: string, why: string): Fault {
  return new Fault('config_unsupported', `Cannot start this definition: <${element}>: ${why}`, { subject: element })
}

/** A timer of the clock by name. */
export function timerOf(
  clock: ClockDef,
  name: ClockDef['timers'][number]['name'],
): ClockDef['timers'][number] | undefined {
  return clock.timers.find((timer) => timer.name === name)
}
