import type { ConsoleDef, SerialDef } from './character-device-def.ts'
import type { DiskDef } from './disk-def.ts'
import type { DomainDef } from './domain-def.ts'
import type { GraphicsDef } from './graphics-def.ts'
import type { BackingStore } from './storage-source.ts'

/** One image of a running disk's chain. `index` is unique within the domain. */
export interface LiveLayer {
  readonly index: number
  readonly path: string
  readonly format: string
}

/** What only a running domain has; every part may be absent. */
export interface LiveValues {
  /** Ports of the VNC screens that asked for automatic ones, in order. */
  readonly vncPorts?: readonly number[]
  /** Address at which screens listen that were given none. */
  readonly vncListen?: string
  /** Pseudo terminal by device alias, for example serial0 -> /dev/pts/3. */
  readonly terminals?: Readonly<Record<string, string>>
  /** Current size of the balloon. */
  readonly balloonKib?: bigint
}

/** The disk of a running domain: its active image, and below it the chain with the index of each layer, closed by its end. */
export function withChain(disk: DiskDef, layers: readonly LiveLayer[]): DiskDef {
  const [active, ...below] = layers
  if (active === undefined) return disk
  let store: BackingStore = { kind: 'end' }
  for (const { index, path, format } of below.toReversed()) {
    store = {
      kind: 'layer',
      layer: { type: 'file', index, format: { type: format }, source: { file: path }, backingStore: store },
    }
  }
  return {
    ...disk,
    driver: { ...disk.driver, type: active.format },
    source: { ...disk.source, file: active.path, index: active.index },
    backingStore: store,
  }
}

/** The definition of a running domain: chains of its disks by target, and what its process was given. */
export function withLive(
  def: DomainDef,
  chains: ReadonlyMap<string, readonly LiveLayer[]>,
  values: LiveValues = {},
): DomainDef {
  const { devices } = def
  const ports = [...(values.vncPorts ?? [])]
  const terminals = values.terminals ?? {}
  return {
    ...def,
    currentMemory:
      values.balloonKib === undefined ? def.currentMemory : { ...def.currentMemory, kib: values.balloonKib },
    devices: {
      ...devices,
      disks: devices.disks.map((disk) => withChain(disk, chains.get(disk.target.dev) ?? [])),
      graphics: devices.graphics.map((graphics) => {
        if (graphics.type !== 'vnc') return graphics
        const port = graphics.autoport === true ? (ports.shift() ?? graphics.port) : graphics.port
        return listening({ ...graphics, port }, values.vncListen)
      }),
      serials: devices.serials.map((serial, index) => withTerminal(serial, terminals, `serial${index}`)),
      parallels: devices.parallels.map((parallel, index) => withTerminal(parallel, terminals, `parallel${index}`)),
      consoles: devices.consoles.map((device, index) => liveConsole(device, terminals, index)),
      channels: devices.channels.map((channel, index) => withTerminal(channel, terminals, `channel${index}`)),
    },
  }
}

type VncDef = Extract<GraphicsDef, { readonly type: 'vnc' }>

/** Clients read the address of a running screen from the attribute and from the element. */
function listening(graphics: VncDef, address: string | undefined): VncDef {
  const [first, ...others] = graphics.listens
  if (address === undefined || first?.type !== 'address' || first.address !== undefined) return graphics
  return { ...graphics, listen: address, listens: [{ ...first, address }, ...others] }
}

interface Line extends Pick<SerialDef, 'type' | 'sources' | 'alias'> {}

function withTerminal<D extends Line>(device: D, terminals: Readonly<Record<string, string>>, usual: string): D {
  const name = device.alias?.name ?? usual
  const path = terminals[name]
  const alias = { ...device.alias, name }
  if (device.type !== 'pty' || path === undefined) return { ...device, alias }
  return { ...device, alias, sources: [{ ...device.sources[0], path }] }
}

/** The first console shows the first serial port under its name; virsh finds the terminal by the attribute `tty`. */
function liveConsole(device: ConsoleDef, terminals: Readonly<Record<string, string>>, index: number): ConsoleDef {
  const shown = device.target?.type === 'serial' && index === 0 ? 'serial0' : `console${index}`
  const live = withTerminal(device, terminals, shown)
  const path = live.type === 'pty' ? live.sources[0]?.path : undefined
  return path === undefined ? live : { ...live, tty: path }
}
