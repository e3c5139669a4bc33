import { archOf, type CompletionPass, isQ35, isX86, withDevices } from './completion.ts'
import type { ControllerDef } from './controller-def.ts'
import type { DomainDef } from './domain-def.ts'

type Type = ControllerDef['type']

const busControllers: readonly (readonly [string, Type])[] = [
  ['scsi', 'scsi'],
  ['fdc', 'fdc'],
  ['ide', 'ide'],
  ['sata', 'sata'],
]

function has(controllers: readonly ControllerDef[], type: Type, index: number): boolean {
  return controllers.some((controller) => controller.type === type && (controller.index ?? 0) === index)
}

/** Controllers that disks of a bus sit on, by index. */
function controllersOfDisks(def: DomainDef, bus: string): Set<number> {
  const indexes = new Set<number>()
  for (const disk of def.devices.disks) {
    if (disk.target.bus === bus && disk.address?.type === 'drive') indexes.add(disk.address.controller ?? 0)
  }
  return indexes
}

/** The controllers a PC has without being asked. */
function boardControllers(def: DomainDef): ControllerDef[] {
  return isQ35(def)
    ? [
        { type: 'usb', index: 0, model: 'qemu-xhci' },
        { type: 'sata', index: 0 },
        { type: 'pci', index: 0, model: 'pcie-root' },
      ]
    : [
        { type: 'usb', index: 0, model: 'piix3-uhci' },
        { type: 'pci', index: 0, model: 'pci-root' },
      ]
}

/** Gives each controller without an index the next one of its type. */
function numbered(controllers: readonly ControllerDef[]): ControllerDef[] {
  const next = new Map<Type, number>()
  for (const { type, index } of controllers) next.set(type, Math.max(next.get(type) ?? 0, (index ?? -1) + 1))
  return controllers.map((controller) => {
    if (controller.index !== undefined) return controller
    const index = next.get(controller.type) ?? 0
    next.set(controller.type, index + 1)
    return { ...controller, index }
  })
}

function withModel(controller: ControllerDef, def: DomainDef): ControllerDef {
  if (controller.model !== undefined) return controller
  if (controller.type === 'usb') return { ...controller, model: isQ35(def) ? 'qemu-xhci' : 'piix3-uhci' }
  if (controller.type === 'scsi') return { ...controller, model: 'lsilogic' }
  return controller
}

/** Controllers that the machine has anyway and those that devices need. PCI addresses are not assigned here. */
export const completeControllers: CompletionPass = (def, context) => {
  const x86 = isX86(archOf(def, context))
  const controllers = numbered(def.devices.controllers)
  const add = (type: Type, index: number, more: Partial<ControllerDef> = {}): void => {
    if (!has(controllers, type, index)) controllers.push({ ...more, type, index })
  }
  if (x86 && !/^(?:isapc|none|microvm)/.test(def.os.type.machine ?? '')) {
    for (const { type, model } of boardControllers(def)) {
      // `<controller type='usb' model='none'/>` says that the guest has no USB at all.
      if (type !== 'usb' || !controllers.some((known) => known.type === 'usb')) add(type, 0, { model })
    }
  }
  for (const [bus, type] of busControllers) {
    for (const index of controllersOfDisks(def, bus)) add(type, index)
  }
  if (def.devices.channels.some((channel) => channel.target?.type === 'virtio')) add('virtio-serial', 0)
  if (def.devices.consoles.some((device) => device.target?.type === 'virtio')) add('virtio-serial', 0)
  return withDevices(def, {
    controllers: x86 ? controllers.map((controller) => withModel(controller, def)) : controllers,
  })
}
