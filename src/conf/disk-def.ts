import { element, type Parsed } from '../xml/codec.ts'
import { attribute, child, flag, optional, textChild, verbatim, withDefault } from '../xml/parts.ts'
import { anyText, oneOf, onOff, someText, unsignedInt } from '../xml/value-codec.ts'
import { deviceInfo } from './device-info.ts'
import { backingStore, mirror, storageSource, storageType } from './storage-source.ts'

const errorPolicy = oneOf('stop', 'report', 'ignore', 'enospace')

const driver = element('driver', {
  name: optional(attribute('name', anyText)),
  type: optional(attribute('type', anyText)),
  cache: optional(attribute('cache', oneOf('default', 'none', 'writethrough', 'writeback', 'directsync', 'unsafe'))),
  errorPolicy: optional(attribute('error_policy', errorPolicy)),
  readErrorPolicy: optional(attribute('rerror_policy', errorPolicy)),
  io: optional(attribute('io', oneOf('native', 'threads', 'io_uring'))),
  ioeventfd: optional(attribute('ioeventfd', onOff)),
  eventIdx: optional(attribute('event_idx', onOff)),
  copyOnRead: optional(attribute('copy_on_read', onOff)),
  discard: optional(attribute('discard', oneOf('unmap', 'ignore'))),
  iothread: optional(attribute('iothread', unsignedInt)),
  detectZeroes: optional(attribute('detect_zeroes', oneOf('off', 'on', 'unmap'))),
  queues: optional(attribute('queues', unsignedInt)),
  queueSize: optional(attribute('queue_size', unsignedInt)),
})

/** Buses a disk may sit on. */
const diskBus = oneOf('ide', 'fdc', 'scsi', 'virtio', 'xen', 'usb', 'sata', 'sd', 'uml', 'nvme')

const target = element('target', {
  dev: attribute('dev', someText),
  bus: optional(attribute('bus', diskBus)),
  tray: optional(attribute('tray', oneOf('open', 'closed'))),
  removable: optional(attribute('removable', onOff)),
  rotationRate: optional(attribute('rotation_rate', unsignedInt)),
})

/** `<disk>`. The three meanings of `backingStore`: absent = detect, end = known to end here, layer = taken as given. */
export const disk = element('disk', {
  type: withDefault(attribute('type', storageType), 'file'),
  device: withDefault(attribute('device', oneOf('disk', 'cdrom', 'floppy', 'lun')), 'disk'),
  model: optional(attribute('model', oneOf('virtio', 'virtio-transitional', 'virtio-non-transitional'))),
  snapshot: optional(attribute('snapshot', oneOf('no', 'internal', 'external', 'manual'))),
  driver: optional(child(driver)),
  auth: verbatim('auth'),
  source: optional(child(storageSource)),
  backingStore: optional(child(backingStore)),
  backendDomain: verbatim('backenddomain'),
  geometry: verbatim('geometry'),
  blockio: verbatim('blockio'),
  mirror: optional(child(mirror)),
  target: child(target),
  iotune: verbatim('iotune'),
  throttleFilters: verbatim('throttlefilters'),
  readonly: flag('readonly'),
  shareable: flag('shareable'),
  transient: verbatim('transient'),
  serial: optional(textChild('serial', anyText)),
  wwn: verbatim('wwn'),
  vendor: verbatim('vendor'),
  product: verbatim('product'),
  encryption: verbatim('encryption'),
  ...deviceInfo,
})

/** A disk of a definition. */
export type DiskDef = Parsed<typeof disk>
