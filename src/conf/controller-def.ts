import { element, type Parsed } from '../xml/codec.ts'
import { attribute, child, optional, verbatim } from '../xml/parts.ts'
import { anyText, oneOf, signedInt, unsignedInt } from '../xml/value-codec.ts'
import { deviceInfo } from './device-info.ts'

const types = oneOf('ide', 'fdc', 'scsi', 'sata', 'virtio-serial', 'ccid', 'usb', 'pci', 'xenbus', 'isa', 'nvme')

const model = element('model', { name: attribute('name', anyText) })
const target = element('target', {
  chassisNr: optional(attribute('chassisNr', unsignedInt)),
  chassis: optional(attribute('chassis', unsignedInt)),
  port: optional(attribute('port', anyText)),
  busNr: optional(attribute('busNr', unsignedInt)),
  index: optional(attribute('index', unsignedInt)),
})

/** `<controller>`: what disks, serial ports and other devices are plugged into. */
export const controller = element('controller', {
  type: attribute('type', types),
  index: optional(attribute('index', signedInt)),
  model: optional(attribute('model', anyText)),
  ports: optional(attribute('ports', unsignedInt)),
  vectors: optional(attribute('vectors', unsignedInt)),
  modelName: optional(child(model)),
  target: optional(child(target)),
  driver: verbatim('driver'),
  ...deviceInfo,
  pciHole64: verbatim('pcihole64'),
})

/** A controller of a definition. */
export type ControllerDef = Parsed<typeof controller>
