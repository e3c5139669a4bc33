import { element } from '../xml/codec.ts'
import { attribute, child, optional, verbatim } from '../xml/parts.ts'
import { anyText, macAddress, oneOf, someText } from '../xml/value-codec.ts'
import { deviceInfo } from './device-info.ts'

const types = oneOf(
  ...(['ethernet', 'user', 'vhostuser', 'server', 'client', 'mcast', 'network', 'bridge', 'internal'] as const),
  ...(['direct', 'hostdev', 'udp', 'vdpa', 'null', 'vds'] as const),
)

const mac = element('mac', {
  address: attribute('address', macAddress),
  type: optional(attribute('type', oneOf('generated', 'static'))),
  check: optional(attribute('check', oneOf('yes', 'no'))),
})

const source = element('source', {
  type: optional(attribute('type', anyText)),
  network: optional(attribute('network', anyText)),
  bridge: optional(attribute('bridge', anyText)),
  dev: optional(attribute('dev', anyText)),
  path: optional(attribute('path', anyText)),
  mode: optional(attribute('mode', anyText)),
})

/** `<interface>`: a network card of the guest and what it is connected to. */
export const networkInterface = element('interface', {
  type: attribute('type', types),
  managed: optional(attribute('managed', oneOf('yes', 'no'))),
  trustGuestRxFilters: optional(attribute('trustGuestRxFilters', oneOf('yes', 'no'))),
  mac: optional(child(mac)),
  source: optional(child(source)),
  ip: verbatim('ip'),
  route: verbatim('route'),
  script: verbatim('script'),
  downscript: verbatim('downscript'),
  backendDomain: verbatim('backenddomain'),
  target: optional(child(element('target', { dev: optional(attribute('dev', anyText)) }))),
  guest: verbatim('guest'),
  portForward: verbatim('portForward'),
  vlan: verbatim('vlan'),
  virtualPort: verbatim('virtualport'),
  bandwidth: verbatim('bandwidth'),
  model: optional(child(element('model', { type: attribute('type', someText) }))),
  driver: verbatim('driver'),
  backend: verbatim('backend'),
  filter: verbatim('filterref'),
  teaming: verbatim('teaming'),
  tune: verbatim('tune'),
  link: optional(child(element('link', { state: attribute('state', oneOf('up', 'down')) }))),
  mtu: verbatim('mtu'),
  coalesce: verbatim('coalesce'),
  ...deviceInfo,
})
