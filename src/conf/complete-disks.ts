import { type CompletionPass, withDevices } from './completion.ts'
import type { DeviceAddress } from './device-info.ts'
import type { DiskDef } from './disk-def.ts'
import { busOfTarget, driveLayout, targetIndex } from './disk-target.ts'

/** Where the letters of the target put the drive on its controller. */
function driveAddress(dev: string, bus: DiskDef['target']['bus']): DeviceAddress | undefined {
  const layout = bus === undefined ? undefined : driveLayout[bus]
  const index = targetIndex(dev)
  if (layout === undefined || index === undefined) return undefined
  const perController = layout.units * layout.buses
  const within = index % perController
  return {
    type: 'drive',
    controller: Math.floor(index / perController),
    bus: Math.floor(within / layout.units),
    target: 0,
    unit: within % layout.units,
  }
}

function completeDisk(disk: DiskDef): DiskDef {
  const { dev } = disk.target
  const bus = disk.target.bus ?? busOfTarget(dev)
  const given = disk.driver
  // The format of a volume is told by its pool; vhost devices have no driver of QEMU's at all.
  const type = given?.type ?? (disk.type === 'volume' ? undefined : 'raw')
  const vhost = disk.type === 'vhostuser' || disk.type === 'vhostvdpa'
  return {
    ...disk,
    driver: vhost ? given : { ...given, name: given?.name ?? 'qemu', type },
    target: { ...disk.target, bus },
    readonly: disk.device === 'cdrom' ? true : disk.readonly,
    address: disk.address ?? driveAddress(dev, bus),
  }
}

/** Drives that name the same bus stand in the order of their letters; the first place of each bus is that of its first drive. */
function inOrder(disks: readonly DiskDef[]): DiskDef[] {
  const ordered: DiskDef[] = []
  const place = (disk: DiskDef): number => targetIndex(disk.target.dev) ?? -1
  for (const disk of disks) {
    const isMate = (other: DiskDef): boolean => other.target.bus === disk.target.bus
    const later = ordered.findIndex((other) => isMate(other) && place(other) > place(disk))
    const last = ordered.findLastIndex(isMate)
    const at = later !== -1 ? later : last === -1 ? ordered.length : last + 1
    ordered.splice(at, 0, disk)
  }
  return ordered
}

/** Bus, driver, format, address and order of disks. A format that is not stated is raw: images are never probed for it. */
export const completeDisks: CompletionPass = (def) =>
  withDevices(def, { disks: inOrder(def.devices.disks).map(completeDisk) })
