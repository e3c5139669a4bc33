import type { ChannelDef, ConsoleDef, ParallelDef, SerialDef } from './character-device-def.ts'
import type { DiskDef } from './disk-def.ts'
import type { DomainDef } from './domain-def.ts'
import type { BackingStore, StorageSource } from './storage-source.ts'

type AnyDevice = { readonly alias?: { readonly name: string } | undefined }

/** Prefix of aliases that a user chose; all others exist only while the domain runs. */
const userAliasPrefix = 'ua-'

function withoutAlias<D extends AnyDevice>(device: D): D {
  if (device.alias === undefined || device.alias.name.startsWith(userAliasPrefix)) return device
  return { ...device, alias: undefined }
}

function withoutIndex(source: StorageSource): StorageSource {
  return source.index === undefined ? source : { ...source, index: undefined }
}

function withoutIndexes(store: BackingStore): BackingStore {
  if (store.kind === 'end') return store
  const { layer } = store
  return {
    kind: 'layer',
    layer: {
      ...layer,
      index: undefined,
      source: layer.source === undefined ? undefined : withoutIndex(layer.source),
      backingStore: layer.backingStore === undefined ? undefined : withoutIndexes(layer.backingStore),
    },
  }
}

function inactiveDisk(disk: DiskDef): DiskDef {
  return {
    ...withoutAlias(disk),
    mirror: undefined,
    source: disk.source === undefined ? undefined : withoutIndex(disk.source),
    backingStore: disk.backingStore === undefined ? undefined : withoutIndexes(disk.backingStore),
  }
}

function inactiveCharacterDevice<D extends SerialDef | ParallelDef | ConsoleDef | ChannelDef>(device: D): D {
  const plain = withoutAlias(device)
  if (device.type !== 'pty') return plain
  // The terminal was given to a running domain; the next start gets another.
  const sources = device.sources
    .map((source) => ({ ...source, path: undefined }))
    .filter((source) => Object.values(source).some((value) => value !== undefined))
  return { ...plain, tty: undefined, sources }
}

/** The definition as it is for the next start: without what exists only while the domain runs. */
export function withoutLiveParts(def: DomainDef): DomainDef {
  const { devices } = def
  return {
    ...def,
    id: undefined,
    devices: {
      ...devices,
      disks: devices.disks.map(inactiveDisk),
      controllers: devices.controllers.map(withoutAlias),
      interfaces: devices.interfaces.map(withoutAlias),
      serials: devices.serials.map(inactiveCharacterDevice),
      parallels: devices.parallels.map(inactiveCharacterDevice),
      consoles: devices.consoles.map(inactiveCharacterDevice),
      channels: devices.channels.map(inactiveCharacterDevice),
      inputs: devices.inputs.map(withoutAlias),
      sounds: devices.sounds.map(withoutAlias),
      videos: devices.videos.map(withoutAlias),
      watchdogs: devices.watchdogs.map(withoutAlias),
      rngs: devices.rngs.map(withoutAlias),
      panics: devices.panics.map(withoutAlias),
      memballoon: devices.memballoon === undefined ? undefined : withoutAlias(devices.memballoon),
    },
  }
}
