import type { ChannelDef, ConsoleDef, ParallelDef, SerialDef } from '../conf/character-device-def.ts'
import { checkSocketPath } from './qmp-client.ts'
import {
  type CommandLineFamily,
  type CommandLineRequest,
  device,
  type DeviceArgument,
  optionText,
  pciPlace,
  unsupported,
  usbPlace,
} from './command-line-parts.ts'

/** A character device of a definition with its alias, which names the host side `char<alias>` too. */
interface CharacterDevice {
  readonly alias: string
  readonly element: string
  readonly def: SerialDef | ParallelDef | ConsoleDef | ChannelDef
  /** Where QEMU listens when the definition names no path for a UNIX socket. */
  readonly defaultSocket?: string
}

/** Serial and parallel ports, consoles and channels. */
export const characterFamily: CommandLineFamily = (request) => {
  const options: string[] = []
  const devices: DeviceArgument[] = []
  const { serials, parallels, consoles, channels } = request.definition.devices
  const add = (character: CharacterDevice, guest: DeviceArgument): void => {
    options.push('-chardev', hostSide(character))
    devices.push(guest)
  }
  for (const [place, def] of serials.entries()) {
    const alias = `serial${place}`
    add({ alias, element: 'devices/serial', def }, serialDevice(def, { alias, request }))
  }
  for (const [place, def] of parallels.entries()) {
    const alias = `parallel${place}`
    const properties = { chardev: `char${alias}`, id: alias, index: def.target?.port }
    add({ alias, element: 'devices/parallel', def }, device('isa-parallel', properties))
  }
  for (const [place, def] of consoles.entries()) {
    // The console of a serial port is the port's other name.
    if (
      (def.target?.type ?? 'serial') === 'serial' &&
      serials.some(({ target }) => target?.port === (def.target?.port ?? 0))
    )
      continue
    const alias = `console${place}`
    if (def.target?.type !== 'virtio')
      throw unsupported('devices/console', `a console of target type "${def.target?.type ?? 'none'}" is not supported`)
    const properties = { chardev: `char${alias}`, id: alias, bus: 'virtio-serial0.0' }
    add({ alias, element: 'devices/console', def }, device('virtconsole', properties))
  }
  for (const [place, def] of channels.entries()) {
    const alias = `channel${place}`
    const defaultSocket = `${request.paths.directory}/${alias}.sock`
    add({ alias, element: 'devices/channel', def, defaultSocket }, channelDevice(def, alias))
  }
  return { options, devices }
}

function hostSide({ alias, element, def, defaultSocket }: CharacterDevice): string {
  const id = `char${alias}`
  const [source] = def.sources
  switch (def.type) {
    case 'pty':
    case 'null':
    case 'vc':
      return optionText(def.type, { id })
    case 'file': {
      if (source?.path === undefined) throw unsupported(element, 'a device of type "file" needs a path')
      return optionText('file', { id, path: source.path, append: source.append === 'on' ? true : undefined })
    }
    case 'unix': {
      const path = source?.path ?? defaultSocket
      if (path === undefined) throw unsupported(element, 'a device of type "unix" needs a path')
      checkSocketPath(path)
      const listens = source?.mode !== 'connect'
      return optionText('socket', { id, path, ...(listens ? { server: true, wait: false } : {}) })
    }
    case 'dbus':
    case 'dev':
    case 'nmdm':
    case 'pipe':
    case 'qemu-vdagent':
    case 'spiceport':
    case 'spicevmc':
    case 'stdio':
    case 'tcp':
    case 'udp':
      throw unsupported(element, `type "${def.type}" is not supported`)
  }
}

interface SerialContext {
  readonly alias: string
  readonly request: CommandLineRequest
}

function serialDevice(def: SerialDef, { alias, request }: SerialContext): DeviceArgument {
  const model = def.target?.model?.name ?? 'isa-serial'
  const base = { chardev: `char${alias}`, id: alias }
  switch (model) {
    case 'isa-serial':
      return device(model, { ...base, index: def.target?.port })
    case 'pci-serial':
      return device(model, { ...base, ...pciPlace(request.definition, def.address) })
    case 'usb-serial':
      return device(model, { ...base, ...usbPlace(def.address) })
    case 'isa-debugcon': {
      const { iobase = 0xe9 } = def.address?.type === 'isa' ? def.address : {}
      return device(model, { ...base, iobase: `0x${iobase.toString(16)}` })
    }
    default:
      throw unsupported('devices/serial/target', `serial port model "${model}" is not supported`)
  }
}

function channelDevice(def: ChannelDef, alias: string): DeviceArgument {
  if (def.target?.type !== 'virtio')
    throw unsupported('devices/channel', `target type "${def.target?.type ?? 'none'}" is not supported, only virtio is`)
  const { controller = 0, port } = def.address?.type === 'virtio-serial' ? def.address : {}
  return device('virtserialport', {
    bus: `virtio-serial${controller}.0`,
    nr: port,
    chardev: `char${alias}`,
    id: alias,
    name: def.target.name,
  })
}
