import { element, type Parsed, taggedElement } from '../xml/codec.ts'
import { attribute, child, optional, verbatim } from '../xml/parts.ts'
import { anyText, hex, onOff, positiveInt, someText, unsignedInt } from '../xml/value-codec.ts'

const pciAddressShape = {
  domain: optional(attribute('domain', hex(4))),
  bus: optional(attribute('bus', hex(2, 0xff))),
  slot: optional(attribute('slot', hex(2, 0x1f))),
  function: optional(attribute('function', hex(1, 7))),
  multifunction: optional(attribute('multifunction', onOff)),
}
const unit = {
  controller: optional(attribute('controller', unsignedInt)),
  bus: optional(attribute('bus', unsignedInt)),
}

/** Where a device sits in the guest; the shape depends on the bus. */
const deviceAddress = taggedElement('address', 'type', {
  pci: pciAddressShape,
  drive: {
    ...unit,
    target: optional(attribute('target', unsignedInt)),
    unit: optional(attribute('unit', unsignedInt)),
  },
  'virtio-serial': { ...unit, port: optional(attribute('port', unsignedInt)) },
  ccid: { controller: unit.controller, slot: optional(attribute('slot', unsignedInt)) },
  usb: { bus: optional(attribute('bus', unsignedInt)), port: optional(attribute('port', someText)) },
  'spapr-vio': { reg: optional(attribute('reg', anyText)) },
  'virtio-s390': {},
  ccw: {
    cssid: optional(attribute('cssid', hex(1, 0xfe))),
    ssid: optional(attribute('ssid', hex(1, 3))),
    devno: optional(attribute('devno', hex(4, 0xffff))),
  },
  'virtio-mmio': {},
  isa: { iobase: optional(attribute('iobase', hex(1))), irq: optional(attribute('irq', hex(1))) },
  dimm: { slot: optional(attribute('slot', unsignedInt)), base: optional(attribute('base', anyText)) },
  unassigned: {},
  mdev: { uuid: optional(attribute('uuid', anyText)) },
})

/** Where a device sits in the guest. */
export type DeviceAddress = Parsed<typeof deviceAddress>

const boot = element('boot', {
  order: attribute('order', positiveInt),
  loadparm: optional(attribute('loadparm', anyText)),
})
const alias = element('alias', { name: attribute('name', someText) })

/** What every device may carry behind its own parts, in canonical order. */
export const deviceInfo = {
  boot: optional(child(boot)),
  alias: optional(child(alias)),
  master: verbatim('master'),
  rom: verbatim('rom'),
  acpiIndex: verbatim('acpi'),
  address: optional(child(deviceAddress)),
}
