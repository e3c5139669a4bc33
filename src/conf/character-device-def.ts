import { element, type Parsed } from '../xml/codec.ts'
import { attribute, child, children, optional, verbatim } from '../xml/parts.ts'
import { anyText, oneOf, unsignedInt } from '../xml/value-codec.ts'
import { deviceInfo } from './device-info.ts'

const types = oneOf(
  ...(['null', 'vc', 'pty', 'dev', 'file', 'pipe', 'stdio', 'udp', 'tcp', 'unix', 'spicevmc', 'spiceport'] as const),
  ...(['nmdm', 'qemu-vdagent', 'dbus'] as const),
)

// Two sources are possible: udp has one to bind and one to connect.
const source = element('source', {
  channel: optional(attribute('channel', anyText)),
  mode: optional(attribute('mode', anyText)),
  path: optional(attribute('path', anyText)),
  append: optional(attribute('append', anyText)),
  host: optional(attribute('host', anyText)),
  service: optional(attribute('service', anyText)),
})

const backend = {
  type: attribute('type', types),
  /** Pseudo terminal of a running domain. */
  tty: optional(attribute('tty', anyText)),
  sources: children(source),
  protocol: verbatim('protocol'),
  log: verbatim('log'),
}

/** `<serial>`: a serial port. */
export const serial = element('serial', {
  ...backend,
  target: optional(
    child(
      element('target', {
        type: optional(attribute('type', anyText)),
        port: optional(attribute('port', unsignedInt)),
        model: optional(child(element('model', { name: attribute('name', anyText) }))),
      }),
    ),
  ),
  ...deviceInfo,
})

/** `<parallel>`: a parallel port. */
export const parallel = element('parallel', {
  ...backend,
  target: optional(child(element('target', { port: optional(attribute('port', unsignedInt)) }))),
  ...deviceInfo,
})

/** `<console>`: the console; the first one is a second view of the first serial port where the guest has one. */
export const consoleDevice = element('console', {
  ...backend,
  target: optional(
    child(
      element('target', {
        type: optional(attribute('type', anyText)),
        port: optional(attribute('port', unsignedInt)),
      }),
    ),
  ),
  ...deviceInfo,
})

/** `<channel>`: a private line between host and guest, for agents. */
export const channel = element('channel', {
  ...backend,
  target: optional(
    child(
      element('target', {
        type: attribute('type', oneOf('guestfwd', 'virtio', 'xen')),
        name: optional(attribute('name', anyText)),
        state: optional(attribute('state', oneOf('connected', 'disconnected'))),
        address: optional(attribute('address', anyText)),
        port: optional(attribute('port', unsignedInt)),
      }),
    ),
  ),
  ...deviceInfo,
})

/** A serial port of a definition. */
export type SerialDef = Parsed<typeof serial>
/** A parallel port of a definition. */
export type ParallelDef = Parsed<typeof parallel>
/** A console of a definition. */
export type ConsoleDef = Parsed<typeof consoleDevice>
/** A channel of a definition. */
export type ChannelDef = Parsed<typeof channel>
