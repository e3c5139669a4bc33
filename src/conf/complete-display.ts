import { archOf, type CompletionPass, isX86, withDevices } from './completion.ts'
import type { GraphicsDef } from './graphics-def.ts'
import type { AudioDef, InputDef, VideoDef } from './small-device-defs.ts'

function completeGraphics(graphics: GraphicsDef): GraphicsDef {
  if (graphics.type !== 'vnc' && graphics.type !== 'spice') return graphics
  const listens = completeListens(graphics)
  const [first] = listens
  const listen = graphics.listen ?? (first?.type === 'address' ? first.address : undefined)
  if (graphics.type === 'spice') return { ...graphics, listen, listens }
  if (first?.type === 'socket' || first?.type === 'none' || graphics.socket !== undefined)
    return { ...graphics, listens }
  const autoport = graphics.autoport ?? (graphics.port === undefined || graphics.port === -1)
  // With automatic ports the number belongs to the run, not to the definition.
  return { ...graphics, autoport, port: autoport ? -1 : graphics.port, listen, listens }
}

function completeListens(graphics: GraphicsDef & { type: 'vnc' | 'spice' }): typeof graphics.listens {
  if (graphics.listens.length > 0) return graphics.listens
  if (graphics.type === 'vnc' && graphics.socket !== undefined) return [{ type: 'socket', socket: graphics.socket }]
  return [graphics.listen === undefined ? { type: 'address' } : { type: 'address', address: graphics.listen }]
}

type VideoModel = NonNullable<VideoDef['model']>

const videoDefaults: Readonly<Record<string, Partial<VideoModel>>> = {
  vga: { vramKib: 16_384, heads: 1 },
  cirrus: { vramKib: 16_384, heads: 1 },
  vmvga: { vramKib: 16_384, heads: 1 },
  bochs: { vramKib: 16_384, heads: 1 },
  virtio: { heads: 1 },
  qxl: { ramKib: 65_536, vramKib: 65_536, vgamemKib: 16_384, heads: 1 },
}

function completeVideo(video: VideoDef, primary: boolean, fallback: string): VideoDef {
  const given = video.model ?? { type: fallback }
  const defaults = videoDefaults[given.type]
  if (defaults === undefined) return { ...video, model: given }
  return { ...video, model: { ...defaults, ...given, ...(primary ? { primary: true } : {}) } }
}

function audioType(graphics: readonly GraphicsDef[]): AudioDef['type'] {
  const [first] = graphics
  return first?.type === 'spice' || first?.type === 'sdl' ? first.type : 'none'
}

const ps2Inputs: readonly InputDef[] = [
  { type: 'mouse', bus: 'ps2' },
  { type: 'keyboard', bus: 'ps2' },
]

/** What a person sits at: inputs, screens, graphics cards, sound. */
export const completeDisplay: CompletionPass = (def, context) => {
  const x86 = isX86(archOf(def, context))
  const graphics = def.devices.graphics.map(completeGraphics)
  const given = def.devices.inputs.map((input) => ({
    ...input,
    bus: input.bus ?? (input.type === 'tablet' || !x86 ? 'usb' : input.type === 'passthrough' ? 'virtio' : 'ps2'),
  }))
  const hasPs2 = x86 && def.features?.ps2?.state !== false
  const missing = ps2Inputs.filter((input) => !given.some(({ type, bus }) => type === input.type && bus === input.bus))
  const fallback = context.facts.flags.has('cirrus-vga') ? 'cirrus' : 'vga'
  const needed: readonly VideoDef[] = def.devices.videos.length === 0 && graphics.length > 0 ? [{}] : []
  const videos = [...def.devices.videos, ...needed]
  const marked = videos.findIndex((video) => video.model?.primary === true)
  const primary = marked === -1 ? 0 : marked
  const audios = def.devices.audios
  return withDevices(def, {
    inputs: hasPs2 ? [...given, ...missing] : given,
    graphics,
    videos: videos.map((video, index) => completeVideo(video, index === primary, fallback)),
    audios: audios.length > 0 ? audios : [{ id: 1, type: audioType(graphics) }],
  })
}
