import type { ChannelDef, ConsoleDef, ParallelDef, SerialDef } from './character-device-def.ts'
import { archOf, type CompletionPass, withDevices } from './completion.ts'

const serialByArch: Readonly<Record<string, { readonly type: string; readonly model: string }>> = {
  x86_64: { type: 'isa-serial', model: 'isa-serial' },
  i686: { type: 'isa-serial', model: 'isa-serial' },
  aarch64: { type: 'system-serial', model: 'pl011' },
  riscv64: { type: 'system-serial', model: '16550a' },
}

/** The model a target type stands for where it stands for one only. */
const modelByType: Readonly<Record<string, string>> = {
  'isa-serial': 'isa-serial',
  'usb-serial': 'usb-serial',
  'pci-serial': 'pci-serial',
  'isa-debug': 'isa-debugcon',
}

/** Gives each port without a number the lowest free one. */
function numbered<D extends SerialDef | ParallelDef | ConsoleDef>(devices: readonly D[]): D[] {
  const used = new Set(devices.flatMap((device) => device.target?.port ?? []))
  return devices.map((device) => {
    if (device.target?.port !== undefined) return device
    let port = 0
    while (used.has(port)) port++
    used.add(port)
    return { ...device, target: { ...device.target, port } }
  })
}

function completeSerial(serial: SerialDef, arch: string): SerialDef {
  const usual = serialByArch[arch]
  const type = serial.target?.type ?? usual?.type
  const model = serial.target?.model?.name ?? (type === undefined ? undefined : modelByType[type])
  const name = model ?? (type === usual?.type ? usual?.model : undefined)
  return { ...serial, target: { ...serial.target, type, model: name === undefined ? undefined : { name } } }
}

/** The console that is a second view of a serial port. */
function consoleOf(serial: SerialDef, known?: ConsoleDef): ConsoleDef {
  const { type, tty, sources, protocol, log, alias } = serial
  return { ...known, type, tty, sources, protocol, log, alias, target: { type: 'serial', port: 0 } }
}

/** The first console and the first serial port are one device with two names: each is made from the other where it is missing. */
function paired(serials: readonly SerialDef[], consoles: readonly ConsoleDef[]) {
  const [serial] = serials
  const [first, ...others] = consoles
  if (first === undefined) return { serials, consoles: serial === undefined ? [] : [consoleOf(serial)] }
  if ((first.target?.type ?? 'serial') !== 'serial') return { serials, consoles }
  if (serial !== undefined) return { serials, consoles: [consoleOf(serial, first), ...others] }
  const { type, tty, sources, protocol, log, alias } = first
  const made: SerialDef = { type, tty, sources, protocol, log, alias, target: { port: first.target?.port } }
  return { serials: [made], consoles: [consoleOf(made, first), ...others] }
}

function channelsWithPorts(channels: readonly ChannelDef[]): ChannelDef[] {
  const used = new Set<number>()
  for (const { address } of channels) {
    if (address?.type === 'virtio-serial' && (address.controller ?? 0) === 0) used.add(address.port ?? 0)
  }
  return channels.map((channel) => {
    if (channel.target?.type !== 'virtio' || channel.address !== undefined) return channel
    let port = 1
    while (used.has(port)) port++
    used.add(port)
    return { ...channel, address: { type: 'virtio-serial', controller: 0, bus: 0, port } }
  })
}

/** Ports, targets and the pairing of serial port and console. */
export const completeCharacterDevices: CompletionPass = (def, context) => {
  const arch = archOf(def, context)
  const pair = serialByArch[arch] === undefined ? def.devices : paired(def.devices.serials, def.devices.consoles)
  return withDevices(def, {
    serials: numbered(pair.serials).map((serial) => completeSerial(serial, arch)),
    parallels: numbered(def.devices.parallels),
    consoles: numbered(pair.consoles).map((device) => ({
      ...device,
      target: { ...device.target, type: device.target?.type ?? 'serial' },
    })),
    channels: channelsWithPorts(def.devices.channels),
  })
}
