import { element, type Parsed, taggedElement } from '../xml/codec.ts'
import { attribute, children, optional } from '../xml/parts.ts'
import { anyText, oneOf, signedInt, yesNo } from '../xml/value-codec.ts'

const listen = element('listen', {
  type: attribute('type', oneOf('none', 'address', 'network', 'socket')),
  address: optional(attribute('address', anyText)),
  network: optional(attribute('network', anyText)),
  socket: optional(attribute('socket', anyText)),
})

const ports = {
  port: optional(attribute('port', signedInt)),
  tlsPort: optional(attribute('tlsPort', signedInt)),
  autoport: optional(attribute('autoport', yesNo)),
}
// Secrets: printed only where the caller may see them (`formatDomain` with `secure`).
const password = {
  passwd: optional(attribute('passwd', anyText)),
  passwdValidTo: optional(attribute('passwdValidTo', anyText)),
  connected: optional(attribute('connected', anyText)),
}
const listenAddress = optional(attribute('listen', anyText))

/** `<graphics>`: the guest's screen offered to viewers. */
export const graphics = taggedElement('graphics', 'type', {
  vnc: {
    socket: optional(attribute('socket', anyText)),
    port: ports.port,
    autoport: ports.autoport,
    websocket: optional(attribute('websocket', signedInt)),
    listen: listenAddress,
    keymap: optional(attribute('keymap', anyText)),
    sharePolicy: optional(attribute('sharePolicy', oneOf('allow-exclusive', 'force-shared', 'ignore'))),
    powerControl: optional(attribute('powerControl', yesNo)),
    ...password,
    listens: children(listen),
  },
  spice: {
    ...ports,
    listen: listenAddress,
    keymap: optional(attribute('keymap', anyText)),
    defaultMode: optional(attribute('defaultMode', oneOf('any', 'secure', 'insecure'))),
    ...password,
    listens: children(listen),
  },
  rdp: {
    port: ports.port,
    autoport: ports.autoport,
    username: optional(attribute('username', anyText)),
    passwd: password.passwd,
    listen: listenAddress,
    listens: children(listen),
  },
  sdl: {},
  desktop: {},
  'egl-headless': {},
  dbus: {},
})

/** A screen of a definition. */
export type GraphicsDef = Parsed<typeof graphics>
