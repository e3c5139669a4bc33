import type { DomainDef } from './domain-def.ts'
import { keptPaths } from './parse-domain.ts'
import type { BackingStore } from './storage-source.ts'

/** Something of a definition that cannot be given to the guest yet, and why. */
export interface Obstacle {
  readonly path: string
  readonly why: string
}

/** Kept verbatim, but nothing the guest or the host's safety depends on: a start may go on without it. */
const harmlessKept: readonly RegExp[] = [
  /^domain\/idmap$/,
  /^domain\/devices\/(?:interface|disk|controller|video|sound|memballoon|rng|input)\/(?:driver|alias)(?:\/|$)/,
  /^domain\/devices\/disk\/(?:geometry|vendor|product|backenddomain)$/,
  /^domain\/devices\/interface\/(?:target|coalesce|guest)(?:\/|$)/,
  /^domain\/devices\/(?:sound|graphics)\/audio$/,
  /^domain\/devices\/audio(?:\/|$)/,
]

const characterBackends = new Set(['pty', 'null', 'file', 'unix', 'vc', 'stdio'])

function explicitChain(store: BackingStore | undefined, path: string): Obstacle[] {
  if (store === undefined || store.kind === 'end') return []
  const { layer } = store
  const below = `${path}/backingStore`
  const here: Obstacle[] =
    layer.type === 'file'
      ? []
      : [{ path: below, why: `a layer of type "${layer.type}" is not supported, it must be file` }]
  return [...here, ...explicitChain(layer.backingStore, below)]
}

function diskObstacles(def: DomainDef): Obstacle[] {
  const path = 'domain/devices/disk'
  return def.devices.disks.flatMap((disk) => {
    const name = `disk "${disk.target.dev}"`
    const found = explicitChain(disk.backingStore, path)
    if (disk.type !== 'file') found.push({ path, why: `${name} is of type "${disk.type}", only file is supported` })
    if (disk.device === 'lun') found.push({ path, why: `${name} is a LUN, which is not supported` })
    const format = disk.driver?.type ?? 'raw'
    if (format !== 'raw' && format !== 'qcow2') {
      found.push({ path: `${path}/driver`, why: `${name} has format "${format}", only raw and qcow2 are supported` })
    }
    return found
  })
}

function cpuObstacles(def: DomainDef): Obstacle[] {
  if (def.cpu?.mode !== 'host-passthrough' || def.type !== 'qemu') return []
  return [{ path: 'domain/cpu', why: 'CPU mode "host-passthrough" needs hardware virtualization, the type is "qemu"' }]
}

function deviceObstacles(def: DomainDef): Obstacle[] {
  const { interfaces, serials, consoles, channels, parallels, graphics } = def.devices
  const found: Obstacle[] = []
  for (const { type } of interfaces) {
    if (type === 'user') continue
    found.push({
      path: 'domain/devices/interface',
      why: `a network card of type "${type}" is not supported, only user is`,
    })
  }
  const lines = { serial: serials, console: consoles, channel: channels, parallel: parallels }
  for (const [name, devices] of Object.entries(lines)) {
    for (const { type } of devices) {
      if (characterBackends.has(type)) continue
      found.push({ path: `domain/devices/${name}`, why: `a ${name} of type "${type}" is not supported` })
    }
  }
  for (const { type } of graphics) {
    if (type === 'vnc') continue
    found.push({ path: 'domain/devices/graphics', why: `graphics of type "${type}" are not supported, only vnc is` })
  }
  return found
}

/**
 * What of a definition the QEMU driver cannot realise yet, in document order of the kinds: a start is refused naming it, so
 * that no guest ever runs with less than its definition says. Empty when it can be started.
 */
export function unstartable(def: DomainDef): readonly Obstacle[] {
  const kept = keptPaths(def).filter((path) => !harmlessKept.some((pattern) => pattern.test(path)))
  return [
    ...cpuObstacles(def),
    ...diskObstacles(def),
    ...deviceObstacles(def),
    ...kept.map((path) => ({ path, why: `${elementOf(path)} is kept, but not understood by this version` })),
  ]
}

function elementOf(path: string): string {
  const last = path.slice(path.lastIndexOf('/') + 1)
  return last.startsWith('@') ? `attribute "${last.slice(1)}"` : `<${last}>`
}
