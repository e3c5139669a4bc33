import { element, type ElementCodec, type Parsed } from '../xml/codec.ts'
import { child, children, optional, textChild, verbatim } from '../xml/parts.ts'
import { someText } from '../xml/value-codec.ts'
import { channel, consoleDevice, parallel, serial } from './character-device-def.ts'
import { controller } from './controller-def.ts'
import { disk } from './disk-def.ts'
import { graphics } from './graphics-def.ts'
import { networkInterface } from './interface-def.ts'
import { audio, input, memballoon, panic, rng, sound, video, watchdog } from './small-device-defs.ts'

// Kinds in canonical order; kinds this version does not understand are kept verbatim in their place.
const declared = element('devices', {
  emulator: optional(textChild('emulator', someText)),
  disks: children(disk),
  controllers: children(controller),
  leases: verbatim('lease'),
  filesystems: verbatim('filesystem'),
  interfaces: children(networkInterface),
  smartcards: verbatim('smartcard'),
  serials: children(serial),
  parallels: children(parallel),
  consoles: children(consoleDevice),
  channels: children(channel),
  inputs: children(input),
  tpms: verbatim('tpm'),
  graphics: children(graphics),
  sounds: children(sound),
  audios: children(audio),
  videos: children(video),
  hostdevs: verbatim('hostdev'),
  redirdevs: verbatim('redirdev'),
  redirfilter: verbatim('redirfilter'),
  hubs: verbatim('hub'),
  watchdogs: children(watchdog),
  memballoon: optional(child(memballoon)),
  rngs: children(rng),
  nvram: verbatim('nvram'),
  panics: children(panic),
  shmems: verbatim('shmem'),
  memories: verbatim('memory'),
  iommus: verbatim('iommu'),
  vsock: verbatim('vsock'),
  crypto: verbatim('crypto'),
  pstore: verbatim('pstore'),
})

/** `<devices>`; printed with a start and an end tag even when there are none. */
export const devices: ElementCodec<Parsed<typeof declared>> = {
  ...declared,
  write: (value) => ({ ...declared.write(value), open: true }),
}

/** The devices of a definition. */
export type DevicesDef = Parsed<typeof devices>
