import type { ControllerDef } from '../conf/controller-def.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import { hasFloppyController } from './command-line-disks.ts'
import {
  type CommandLineFamily,
  type DeviceArgument,
  isI440fx,
  isQ35,
  optionText,
  pciPlace,
  type Properties,
  unsupported,
  usbId,
  virtioVariant,
} from './command-line-parts.ts'

/** QEMU's devices for the models of USB controllers; for the companions of a USB 2 controller also the first port that they take. */
const usbModels: Readonly<Record<string, { readonly driver: string; readonly firstPort?: number }>> = {
  'piix3-uhci': { driver: 'piix3-usb-uhci' },
  'piix4-uhci': { driver: 'piix4-usb-uhci' },
  ehci: { driver: 'usb-ehci' },
  'ich9-ehci1': { driver: 'ich9-usb-ehci1' },
  'ich9-uhci1': { driver: 'ich9-usb-uhci1', firstPort: 0 },
  'ich9-uhci2': { driver: 'ich9-usb-uhci2', firstPort: 2 },
  'ich9-uhci3': { driver: 'ich9-usb-uhci3', firstPort: 4 },
  'vt82c686b-uhci': { driver: 'vt82c686b-usb-uhci' },
  'pci-ohci': { driver: 'pci-ohci' },
  'nec-xhci': { driver: 'nec-usb-xhci' },
  'qemu-xhci': { driver: 'qemu-xhci' },
}

const scsiModels: Readonly<Record<string, string>> = {
  auto: 'lsi53c895a',
  lsilogic: 'lsi53c895a',
  lsisas1068: 'mptsas1068',
  lsisas1078: 'megasas',
  am53c974: 'am53c974',
  dc390: 'dc-390',
  'virtio-scsi': 'virtio-scsi-pci',
  'virtio-transitional': 'virtio-scsi-pci-transitional',
  'virtio-non-transitional': 'virtio-scsi-pci-non-transitional',
}

/** Bridges by model. `numbered` names the property that takes the number of the chassis, which must be unique. */
const pciModels: Readonly<
  Record<string, { readonly driver: string; readonly numbered?: string; readonly port?: true }>
> = {
  'pcie-root-port': { driver: 'pcie-root-port', numbered: 'chassis', port: true },
  'pcie-switch-upstream-port': { driver: 'x3130-upstream' },
  'pcie-switch-downstream-port': { driver: 'xio3130-downstream', numbered: 'chassis', port: true },
  'pcie-to-pci-bridge': { driver: 'pcie-pci-bridge' },
  'pci-bridge': { driver: 'pci-bridge', numbered: 'chassis_nr' },
  'dmi-to-pci-bridge': { driver: 'i82801b11-bridge' },
}

/** Controllers that the machine does not have by itself. */
export const controllerFamily: CommandLineFamily = ({ definition }) => {
  const options: string[] = []
  const devices = definition.devices.controllers.flatMap((controller): DeviceArgument[] => {
    switch (controller.type) {
      case 'pci':
        return bridge(controller, definition)
      case 'usb':
        return usb(controller, definition)
      case 'scsi':
        return scsi(controller, definition)
      case 'virtio-serial':
        return virtioSerial(controller, definition)
      case 'sata':
        if (isQ35(definition) && (controller.index ?? 0) === 0) return []
        return [plugged('ich9-ahci', { id: `sata${controller.index ?? 0}` }, { controller, definition })]
      case 'ide':
        if (isI440fx(definition) && (controller.index ?? 0) === 0) return []
        if (isQ35(definition)) throw unsupported('devices/controller', 'bus "ide" does not exist on a Q35 machine')
        throw unsupported(
          'devices/controller',
          `IDE controller ${controller.index ?? 0} is not supported, only the board's own is`,
        )
      case 'fdc':
        return hasFloppyController(definition)
          ? []
          : [{ driver: 'isa-fdc', role: 'controller', properties: { id: 'fdc0' } }]
      case 'isa':
        return []
      case 'ccid':
      case 'xenbus':
      case 'nvme':
        throw unsupported('devices/controller', `a controller of type "${controller.type}" is not supported`)
    }
  })
  if (isQ35(definition)) options.push('-global', optionText('', { 'ICH9-LPC.noreboot': watchdogOf(definition) }))
  return { options: options.includes('') ? [] : options, devices }
}

// The board's own watchdog is cut off from its reset line unless the definition has it.
function watchdogOf({ devices }: DomainDef): boolean | undefined {
  return devices.watchdogs.some(({ model }) => model === 'itco') ? false : undefined
}

interface Plug {
  readonly controller: ControllerDef
  readonly definition: DomainDef
}

function plugged(driver: string, properties: Properties, { controller, definition }: Plug): DeviceArgument {
  return { driver, role: 'controller', properties: { ...properties, ...pciPlace(definition, controller.address) } }
}

function bridge(controller: ControllerDef, definition: DomainDef): DeviceArgument[] {
  const { model, index = 0, target } = controller
  if (model === 'pci-root' || model === 'pcie-root') {
    if (index === 0) return []
    throw unsupported('devices/controller', `PCI controller ${index} is a second root, only controller 0 can be one`)
  }
  const row = model === undefined ? undefined : pciModels[model]
  if (row === undefined)
    throw unsupported('devices/controller', `PCI controller model "${model ?? 'none'}" is not supported`)
  const properties = {
    id: `pci.${index}`,
    ...(row.numbered === undefined ? {} : { [row.numbered]: target?.chassis ?? target?.chassisNr ?? index }),
    port: row.port === true ? target?.port : undefined,
    ...pciPlace(definition, controller.address),
  }
  return [{ driver: row.driver, role: 'bridge', properties }]
}

function usb(controller: ControllerDef, definition: DomainDef): DeviceArgument[] {
  const { model, index = 0, ports } = controller
  if (model === 'none') return []
  const row = model === undefined ? undefined : usbModels[model]
  if (row === undefined)
    throw unsupported('devices/controller', `USB controller model "${model ?? 'none'}" is not supported`)
  const id = usbId(index)
  const xhciPorts = ports === undefined ? {} : { p2: ports, p3: ports }
  if (row.firstPort === undefined) return [plugged(row.driver, { id, ...xhciPorts }, { controller, definition })]
  return [plugged(row.driver, { masterbus: `${id}.0`, firstport: row.firstPort }, { controller, definition })]
}

function scsi(controller: ControllerDef, definition: DomainDef): DeviceArgument[] {
  const { model = 'auto', index = 0 } = controller
  const driver = scsiModels[model]
  if (driver === undefined) throw unsupported('devices/controller', `SCSI controller model "${model}" is not supported`)
  return [plugged(driver, { id: `scsi${index}` }, { controller, definition })]
}

function virtioSerial(controller: ControllerDef, definition: DomainDef): DeviceArgument[] {
  const { model, index = 0, ports, vectors } = controller
  const properties = { id: `virtio-serial${index}`, max_ports: ports, vectors }
  return [plugged(`virtio-serial-pci${virtioVariant(model)}`, properties, { controller, definition })]
}
