import type { DomainDef } from '../conf/domain-def.ts'
import type { GraphicsDef } from '../conf/graphics-def.ts'
import type { SoundDef, VideoDef } from '../conf/small-device-defs.ts'
import {
  type CommandLineFamily,
  type CommandLineRequest,
  device,
  type DeviceArgument,
  optionText,
  pciPlace,
  type Properties,
  unsupported,
  usbPlace,
} from './command-line-parts.ts'
import { checkSocketPath } from './qmp-client.ts'

type Vnc = Extract<GraphicsDef, { type: 'vnc' }>

/** First port of VNC: displays are counted from it. */
export const firstVncPort = 5900

/** Screens offered to viewers. */
export const graphicsFamily: CommandLineFamily = (request) => {
  const open = [...request.vncPorts]
  const options = request.definition.devices.graphics.flatMap((graphics) => {
    if (graphics.type !== 'vnc')
      throw unsupported('devices/graphics', `graphics of type "${graphics.type}" are not supported, only vnc is`)
    return ['-vnc', vncText(graphics, () => open.shift(), request)]
  })
  return { options: ['-display', 'none', ...options], devices: [] }
}

function vncText(graphics: Vnc, nextPort: () => number | undefined, { name }: CommandLineRequest): string {
  if (graphics.passwd !== undefined)
    throw unsupported('devices/graphics', 'a password in the definition is not supported')
  if (graphics.keymap !== undefined) throw unsupported('devices/graphics', 'attribute "keymap" is not supported')
  const share = graphics.sharePolicy
  const properties = {
    share,
    websocket: graphics.websocket === undefined || graphics.websocket === -1 ? undefined : graphics.websocket,
    'power-control': graphics.powerControl,
  }
  const [listen] = graphics.listens
  const socket = graphics.socket ?? (listen?.type === 'socket' ? listen.socket : undefined)
  if (socket !== undefined) {
    checkSocketPath(socket)
    return optionText(`unix:${socket.replaceAll(',', ',,')}`, properties)
  }
  if (listen !== undefined && listen.type !== 'address') {
    throw unsupported('devices/graphics/listen', `type "${listen.type}" is not supported, it must be address or socket`)
  }
  const given = graphics.autoport === true || graphics.port === -1 ? undefined : graphics.port
  const port = given ?? nextPort()
  if (port === undefined) throw unsupported('devices/graphics', `no port was chosen for the screen of "${name}"`)
  if (port < firstVncPort || port > 65_535) {
    throw unsupported('devices/graphics', `port ${port} is not supported, it must be from ${firstVncPort} to 65535`)
  }
  const address = listen?.address ?? graphics.listen ?? '127.0.0.1'
  const host = address.includes(':') ? `[${address}]` : address
  return optionText(`${host}:${port - firstVncPort}`, properties)
}

/** Graphics cards: the device as the first card and as a further one (null: it can only be the first), and the names of its sizes. */
const videoModels: Readonly<
  Record<
    string,
    { readonly primary: string; readonly secondary: string | null; readonly sizes: 'vga' | 'qxl' | 'heads' | 'none' }
  >
> = {
  vga: { primary: 'VGA', secondary: 'secondary-vga', sizes: 'vga' },
  cirrus: { primary: 'cirrus-vga', secondary: null, sizes: 'none' },
  vmvga: { primary: 'vmware-svga', secondary: null, sizes: 'vga' },
  qxl: { primary: 'qxl-vga', secondary: 'qxl', sizes: 'qxl' },
  virtio: { primary: 'virtio-vga', secondary: 'virtio-gpu-pci', sizes: 'heads' },
  bochs: { primary: 'bochs-display', secondary: 'bochs-display', sizes: 'none' },
  ramfb: { primary: 'ramfb', secondary: null, sizes: 'none' },
}

/** Graphics cards. */
export const videoFamily: CommandLineFamily = ({ definition, caps }) => {
  const { videos } = definition.devices
  const primary = Math.max(
    0,
    videos.findIndex(({ model }) => model?.primary === true),
  )
  const devices = videos.flatMap((video, place): DeviceArgument[] => {
    const type = video.model?.type ?? 'vga'
    if (type === 'none') return []
    const row = videoModels[type]
    if (row === undefined) throw unsupported('devices/video/model', `type "${type}" is not supported`)
    const first = place === primary
    const driver = first
      ? type === 'virtio' && !caps.flags.has('virtio-vga')
        ? 'virtio-gpu-pci'
        : row.primary
      : row.secondary
    if (driver === null) throw unsupported('devices/video/model', `type "${type}" can only be the first graphics card`)
    const flag = driver === 'virtio-gpu-pci' ? 'virtio-gpu-pci' : row.primary
    if (!caps.flags.has(flag))
      throw unsupported('devices/video/model', `emulator "${caps.binary}" has no device "${driver}"`)
    const place_ = driver === 'ramfb' ? {} : pciPlace(definition, video.address)
    return [device(driver, { id: `video${place}`, ...videoSizes(video, row.sizes), ...place_ })]
  })
  return { options: [], devices }
}

function videoSizes({ model }: VideoDef, sizes: 'vga' | 'qxl' | 'heads' | 'none'): Properties {
  const mib = (kib: number | undefined): number | undefined =>
    kib === undefined ? undefined : Math.max(1, Math.floor(kib / 1024))
  switch (sizes) {
    case 'none':
      return {}
    case 'vga':
      return { vgamem_mb: mib(model?.vramKib) }
    case 'heads':
      return { max_outputs: model?.heads }
    case 'qxl':
      return {
        ram_size: model?.ramKib === undefined ? undefined : BigInt(model.ramKib) * 1024n,
        vram_size: model?.vramKib === undefined ? undefined : BigInt(model.vramKib) * 1024n,
        vram64_size_mb: model?.vram64Kib === undefined ? undefined : mib(model.vram64Kib),
        vgamem_mb: mib(model?.vgamemKib),
        max_outputs: model?.heads,
      }
  }
}

const usbInputs: Readonly<Record<string, string>> = { tablet: 'usb-tablet', mouse: 'usb-mouse', keyboard: 'usb-kbd' }
const virtioInputs: Readonly<Record<string, string>> = {
  tablet: 'virtio-tablet-pci',
  mouse: 'virtio-mouse-pci',
  keyboard: 'virtio-keyboard-pci',
}

/** Tablets, mice and keyboards; those on PS/2 belong to the board. */
export const inputFamily: CommandLineFamily = ({ definition }) => {
  const devices = definition.devices.inputs.flatMap((input, place): DeviceArgument[] => {
    const id = `input${place}`
    const { type, bus } = input
    if (bus === 'ps2' && (type === 'mouse' || type === 'keyboard')) return []
    const driver = bus === 'usb' ? usbInputs[type] : bus === 'virtio' ? virtioInputs[type] : undefined
    if (driver === undefined) throw unsupported('devices/input', `a ${type} on bus "${bus ?? 'none'}" is not supported`)
    return [device(driver, { id, ...(bus === 'usb' ? usbPlace(input.address) : pciPlace(definition, input.address)) })]
  })
  return { options: [], devices }
}

const soundModels: Readonly<Record<string, string>> = { ac97: 'AC97', es1370: 'ES1370', sb16: 'sb16', usb: 'usb-audio' }
const hdaModels: Readonly<Record<string, string>> = { ich6: 'intel-hda', ich9: 'ich9-intel-hda' }

/** Sound cards; what they play goes nowhere at this stage. */
export const soundFamily: CommandLineFamily = ({ definition }) => {
  const { sounds, audios } = definition.devices
  const audible = audios.find(({ type }) => type !== 'none')
  if (audible !== undefined)
    throw unsupported('devices/audio', `type "${audible.type}" is not supported, it must be none`)
  if (sounds.length === 0) return { options: [], devices: [] }
  const devices = sounds.flatMap((sound, place) => soundDevices(sound, { definition, place }))
  return { options: ['-audiodev', 'none,id=audio1'], devices }
}

function soundDevices(
  sound: SoundDef,
  { definition, place }: { readonly definition: DomainDef; readonly place: number },
): DeviceArgument[] {
  const id = `sound${place}`
  const hda = hdaModels[sound.model]
  if (hda !== undefined) {
    const controller = {
      driver: hda,
      role: 'controller',
      properties: { id, ...pciPlace(definition, sound.address) },
    } as const
    return [controller, device('hda-duplex', { id: `${id}-codec0`, bus: `${id}.0`, cad: 0, audiodev: 'audio1' })]
  }
  const driver = soundModels[sound.model]
  if (driver === undefined) throw unsupported('devices/sound', `model "${sound.model}" is not supported`)
  const where =
    sound.model === 'usb' ? usbPlace(sound.address) : sound.model === 'sb16' ? {} : pciPlace(definition, sound.address)
  return [device(driver, { id, audiodev: 'audio1', ...where })]
}
