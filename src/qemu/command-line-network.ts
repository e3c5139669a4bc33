import { bootIndexesOf } from './command-line-disks.ts'
import {
  type CommandLineFamily,
  device,
  type DeviceArgument,
  optionText,
  pciPlace,
  unsupported,
  usbPlace,
} from './command-line-parts.ts'

/** QEMU's devices for the models of network cards; those not listed have the same name in QEMU. */
const cardModels: Readonly<Record<string, string>> = {
  virtio: 'virtio-net-pci',
  'virtio-transitional': 'virtio-net-pci-transitional',
  'virtio-non-transitional': 'virtio-net-pci-non-transitional',
}
const sameNamed = new Set([
  'e1000',
  'e1000e',
  'rtl8139',
  'ne2k_pci',
  'pcnet',
  'i82551',
  'i82557b',
  'i82559er',
  'vmxnet3',
  'igb',
  'usb-net',
])

/** Id of the guest's network card number n, which `set_link` takes too. */
export function cardId(place: number): string {
  return `net${place}`
}

/** Network cards, each on a user-mode network of its own. */
export const networkFamily: CommandLineFamily = ({ definition }) => {
  const options: string[] = []
  const devices: DeviceArgument[] = []
  const bootIndexes = bootIndexesOf(definition)
  for (const [place, card] of definition.devices.interfaces.entries()) {
    if (card.type !== 'user')
      throw unsupported('devices/interface', `a network card of type "${card.type}" is not supported, only user is`)
    const model = card.model?.type ?? 'rtl8139'
    const driver = cardModels[model] ?? (sameNamed.has(model) ? model : null)
    if (driver === null) throw unsupported('devices/interface/model', `card model "${model}" is not supported`)
    options.push('-netdev', optionText('user', { id: `host${cardId(place)}` }))
    devices.push(
      device(driver, {
        netdev: `host${cardId(place)}`,
        id: cardId(place),
        mac: card.mac?.address,
        bootindex: bootIndexes.get(card),
        ...(driver === 'usb-net' ? usbPlace(card.address) : pciPlace(definition, card.address)),
      }),
    )
  }
  return { options, devices }
}
