import type { DiskDef } from '../conf/disk-def.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import { type DiskChain, layerNode } from '../driver/driver.ts'
import { Fault } from '../util/fault.ts'
import { diskDeviceId, layerNodeArguments, type NodeOptions, storageNodeArguments } from './block-nodes.ts'
import {
  type CommandLineFamily,
  type CommandLineRequest,
  device,
  type DeviceArgument,
  isI440fx,
  isQ35,
  pciPlace,
  type Properties,
  unsupported,
  usbPlace,
  virtioVariant,
} from './command-line-parts.ts'

type CacheMode = NonNullable<NonNullable<DiskDef['driver']>['cache']>

/** The three switches that a cache mode is made of: bypass the host's cache, ignore flushes, tell the guest of a write cache. */
const cacheModes: Readonly<
  Record<Exclude<CacheMode, 'default'>, { direct: boolean; noFlush: boolean; writeCache: boolean }>
> = {
  none: { direct: true, noFlush: false, writeCache: true },
  writeback: { direct: false, noFlush: false, writeCache: true },
  writethrough: { direct: false, noFlush: false, writeCache: false },
  directsync: { direct: true, noFlush: false, writeCache: false },
  unsafe: { direct: false, noFlush: true, writeCache: true },
}

/** Disks: the block nodes of each layer, base first, and the guest's device on top. */
export const diskFamily: CommandLineFamily = (request) => {
  const options: string[] = []
  const devices: DeviceArgument[] = []
  const bootIndexes = bootIndexesOf(request.definition)
  for (const disk of request.definition.devices.disks) {
    const chain = request.disks.find(({ target }) => target === disk.target.dev)
    if (chain === undefined && disk.source?.file !== undefined) {
      throw new Fault('internal', `Cannot start "${request.name}": the chain of disk "${disk.target.dev}" is not known`)
    }
    if (chain !== undefined) options.push(...chainOptions(chain, nodeOptionsOf(disk)))
    devices.push(diskDevice(disk, { request, chain, bootIndex: bootIndexes.get(disk) }))
  }
  return { options, devices }
}

/** How the files of a disk are opened, by its definition. */
export function nodeOptionsOf({ driver, target }: DiskDef): NodeOptions {
  const mode = cacheOf(driver?.cache)
  if (driver?.io === 'native' && mode?.direct !== true) {
    const state = `cache mode "${driver.cache ?? 'default'}"`
    throw unsupported(
      'devices/disk/driver',
      `io "native" of disk "${target.dev}" needs cache none or directsync, not ${state}`,
    )
  }
  if (driver?.copyOnRead === true)
    throw unsupported('devices/disk/driver', `copy_on_read of disk "${target.dev}" is not supported`)
  if (driver?.iothread !== undefined)
    throw unsupported('devices/disk/driver', `iothread of disk "${target.dev}" is not supported`)
  const zeroes = driver?.detectZeroes
  return {
    ...(mode === undefined ? {} : { cache: { direct: mode.direct, 'no-flush': mode.noFlush } }),
    ...(driver?.io === undefined ? {} : { aio: driver.io }),
    ...(driver?.discard === undefined ? {} : { discard: driver.discard }),
    // QEMU refuses to unmap zeroes where discards are ignored.
    ...(zeroes === undefined
      ? {}
      : { 'detect-zeroes': zeroes === 'unmap' && driver?.discard !== 'unmap' ? 'on' : zeroes }),
  }
}

/** Order of boot by device: what `<boot order>` says, else the first disk, CD or floppy and all cards of each kind that `<os>` names. */
export function bootIndexesOf({ os, devices }: DomainDef): ReadonlyMap<object, number> {
  const indexes = new Map<object, number>()
  for (const item of [...devices.disks, ...devices.interfaces]) {
    if (item.boot !== undefined) indexes.set(item, item.boot.order)
  }
  if (indexes.size > 0) return indexes
  const kinds = { hd: ['disk', 'lun'], cdrom: ['cdrom'], fd: ['floppy'] }
  for (const { dev } of os.boot) {
    const chosen =
      dev === 'network'
        ? devices.interfaces
        : devices.disks.filter(({ device: kind }) => kinds[dev].includes(kind)).slice(0, 1)
    for (const item of chosen) if (!indexes.has(item)) indexes.set(item, indexes.size + 1)
  }
  return indexes
}

function cacheOf(cache: CacheMode | undefined): (typeof cacheModes)['none'] | undefined {
  return cache === undefined || cache === 'default' ? undefined : cacheModes[cache]
}

function chainOptions({ layers, readOnly }: DiskChain, options: NodeOptions): string[] {
  const texts: string[] = []
  for (const [place, layer] of layers.entries()) {
    const node = { layer, readOnly: readOnly || place > 0, backing: layers[place + 1] ?? null, options }
    // Base first: a node can only refer to those that exist.
    texts.unshift(
      '-blockdev',
      JSON.stringify(storageNodeArguments(node)),
      '-blockdev',
      JSON.stringify(layerNodeArguments(node)),
    )
  }
  return texts
}

interface DiskContext {
  readonly request: CommandLineRequest
  readonly chain: DiskChain | undefined
  readonly bootIndex: number | undefined
}

function diskDevice(disk: DiskDef, context: DiskContext): DeviceArgument {
  const { driver, properties } = placeOf(disk, context.request)
  const { errorPolicy, readErrorPolicy } = disk.driver ?? {}
  const [active] = context.chain?.layers ?? []
  const errors = (policy: typeof errorPolicy): string | undefined => (policy === 'enospace' ? 'enospc' : policy)
  return device(driver, {
    ...properties,
    'share-rw': disk.shareable ? true : undefined,
    drive: active === undefined ? undefined : layerNode(active.index),
    id: diskDeviceId(disk.target.dev),
    bootindex: context.bootIndex,
    'write-cache': disk.device === 'disk' ? cacheOf(disk.driver?.cache)?.writeCache : undefined,
    werror: errors(errorPolicy),
    rerror: errors(readErrorPolicy ?? (errorPolicy === 'enospace' ? undefined : errorPolicy)),
    serial: disk.serial,
    rotation_rate: disk.target.rotationRate,
  })
}

interface DiskPlace {
  readonly driver: string
  readonly properties: Properties
}

function placeOf(disk: DiskDef, { definition, caps }: CommandLineRequest): DiskPlace {
  const { bus, dev } = disk.target
  switch (bus) {
    case 'virtio':
      return virtioPlace(disk, definition)
    case 'ide':
      if (isQ35(definition))
        throw unsupported('devices/disk', `bus "ide" of disk "${dev}" does not exist on a Q35 machine`)
      return { driver: ideDriver(disk), properties: { bus: `ide.${drive(disk).bus}`, unit: drive(disk).unit } }
    case 'sata':
      return { driver: ideDriver(disk), properties: { bus: sataBus(disk, definition) } }
    case 'scsi':
      return scsiPlace(disk, definition)
    case 'usb':
      return { driver: 'usb-storage', properties: { ...usbPlace(disk.address), removable: disk.target.removable } }
    case 'fdc':
      return { driver: 'floppy', properties: { unit: drive(disk).unit } }
    case 'nvme':
    case 'sd':
    case 'uml':
    case 'xen':
    case undefined:
      throw unsupported('devices/disk', `bus "${bus ?? 'none'}" of disk "${dev}" is not supported by ${caps.binary}`)
  }
}

function virtioPlace(disk: DiskDef, definition: DomainDef): DiskPlace {
  if (disk.device !== 'disk') throw unsupported('devices/disk', `a ${disk.device} cannot be on bus "virtio"`)
  const { driver } = disk
  return {
    driver: `virtio-blk-pci${virtioVariant(disk.model)}`,
    properties: {
      ioeventfd: driver?.ioeventfd,
      event_idx: driver?.eventIdx,
      'num-queues': driver?.queues,
      'queue-size': driver?.queueSize,
      ...pciPlace(definition, disk.address),
    },
  }
}

function scsiPlace(disk: DiskDef, definition: DomainDef): DiskPlace {
  const { controller, bus, target, unit } = drive(disk)
  const found = definition.devices.controllers.find(({ type, index }) => type === 'scsi' && index === controller)
  const driver = disk.device === 'cdrom' ? 'scsi-cd' : 'scsi-hd'
  if (found?.model?.startsWith('virtio') === true) {
    return { driver, properties: { bus: `scsi${controller}.0`, channel: bus, 'scsi-id': target, lun: unit } }
  }
  return { driver, properties: { bus: `scsi${controller}.${bus}`, 'scsi-id': unit } }
}

// The six ports of the board's own AHCI controller are six IDE buses to QEMU.
function sataBus(disk: DiskDef, definition: DomainDef): string {
  const { controller, unit } = drive(disk)
  return isQ35(definition) && controller === 0 ? `ide.${unit}` : `sata${controller}.${unit}`
}

function ideDriver({ device: kind, target }: DiskDef): string {
  if (kind === 'floppy')
    throw unsupported('devices/disk', `floppy "${target.dev}" cannot be on bus "${target.bus ?? 'none'}"`)
  return kind === 'cdrom' ? 'ide-cd' : 'ide-hd'
}

function drive({ address }: DiskDef): { controller: number; bus: number; target: number; unit: number } {
  if (address?.type !== 'drive') return { controller: 0, bus: 0, target: 0, unit: 0 }
  const { controller = 0, bus = 0, target = 0, unit = 0 } = address
  return { controller, bus, target, unit }
}

/** Whether the machine has a floppy controller of its own. */
export function hasFloppyController(definition: DomainDef): boolean {
  return isI440fx(definition)
}
