import { element, type Parsed } from '../xml/codec.ts'
import { attribute, child, optional, text, verbatim } from '../xml/parts.ts'
import { anyText, oneOf, onOff, someText, unsignedInt, yesNo } from '../xml/value-codec.ts'
import { deviceInfo } from './device-info.ts'

/** `<input>`: mouse, tablet, keyboard. */
export const input = element('input', {
  type: attribute('type', oneOf('mouse', 'tablet', 'keyboard', 'passthrough', 'evdev')),
  bus: optional(attribute('bus', oneOf('ps2', 'usb', 'xen', 'parallels', 'virtio', 'none'))),
  model: optional(attribute('model', anyText)),
  source: verbatim('source'),
  driver: verbatim('driver'),
  ...deviceInfo,
})

/** `<sound>`: a sound card. */
export const sound = element('sound', {
  model: attribute('model', someText),
  audio: verbatim('audio'),
  codecs: verbatim('codec'),
  driver: verbatim('driver'),
  ...deviceInfo,
})

/** `<audio>`: where sound goes on the host. */
export const audio = element('audio', {
  id: attribute('id', unsignedInt),
  type: attribute(
    'type',
    oneOf('none', 'alsa', 'coreaudio', 'jack', 'oss', 'pulseaudio', 'sdl', 'spice', 'file', 'dbus', 'pipewire'),
  ),
})

const videoModel = element('model', {
  type: attribute('type', someText),
  ramKib: optional(attribute('ram', unsignedInt)),
  vramKib: optional(attribute('vram', unsignedInt)),
  vram64Kib: optional(attribute('vram64', unsignedInt)),
  vgamemKib: optional(attribute('vgamem', unsignedInt)),
  heads: optional(attribute('heads', unsignedInt)),
  primary: optional(attribute('primary', yesNo)),
})

/** `<video>`: a graphics card. */
export const video = element('video', {
  driver: verbatim('driver'),
  model: optional(child(videoModel)),
  ...deviceInfo,
})

// The text is the device of `random`; the elements of `egd` are kept.
const rngBackend = element('backend', {
  model: attribute('model', oneOf('random', 'egd', 'builtin')),
  type: optional(attribute('type', anyText)),
  device: text(anyText),
})

/** `<rng>`: a source of entropy for the guest. */
export const rng = element('rng', {
  model: attribute('model', oneOf('virtio', 'virtio-transitional', 'virtio-non-transitional')),
  rate: optional(
    child(
      element('rate', {
        bytes: attribute('bytes', unsignedInt),
        periodMs: optional(attribute('period', unsignedInt)),
      }),
    ),
  ),
  backend: child(rngBackend),
  driver: verbatim('driver'),
  ...deviceInfo,
})

/** `<memballoon>`: lets the host take memory back while the guest runs. */
export const memballoon = element('memballoon', {
  model: attribute('model', oneOf('virtio', 'virtio-transitional', 'virtio-non-transitional', 'xen', 'none')),
  autodeflate: optional(attribute('autodeflate', onOff)),
  freePageReporting: optional(attribute('freePageReporting', onOff)),
  stats: optional(child(element('stats', { periodS: attribute('period', unsignedInt) }))),
  ...deviceInfo,
  driver: verbatim('driver'),
})

/** `<watchdog>`: acts when the guest stops answering. */
export const watchdog = element('watchdog', {
  model: attribute('model', someText),
  action: optional(attribute('action', oneOf('reset', 'shutdown', 'poweroff', 'pause', 'dump', 'none', 'inject-nmi'))),
  ...deviceInfo,
})

/** `<panic>`: how the guest reports a crash. */
export const panic = element('panic', {
  model: optional(attribute('model', anyText)),
  ...deviceInfo,
})

/** Parts that some readers want by name; each is a value of the element of that name. */
export type InputDef = Parsed<typeof input>
/** A sound card. */
export type SoundDef = Parsed<typeof sound>
/** Where sound goes on the host. */
export type AudioDef = Parsed<typeof audio>
/** A graphics card. */
export type VideoDef = Parsed<typeof video>
