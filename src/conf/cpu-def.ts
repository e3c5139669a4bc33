import { element, type Parsed } from '../xml/codec.ts'
import { attribute, child, children, optional, text, textChild, verbatim } from '../xml/parts.ts'
import { anyText, oneOf, onOff, positiveInt, someText } from '../xml/value-codec.ts'

const model = element('model', {
  fallback: optional(attribute('fallback', oneOf('allow', 'forbid'))),
  vendorId: optional(attribute('vendor_id', anyText)),
  name: text(anyText),
})

const topology = element('topology', {
  sockets: attribute('sockets', positiveInt),
  dies: optional(attribute('dies', positiveInt)),
  clusters: optional(attribute('clusters', positiveInt)),
  cores: attribute('cores', positiveInt),
  threads: attribute('threads', positiveInt),
})

const feature = element('feature', {
  policy: optional(attribute('policy', oneOf('force', 'require', 'optional', 'disable', 'forbid'))),
  name: attribute('name', someText),
})

/** `<cpu>`: the CPU that the guest sees. */
export const cpu = element('cpu', {
  mode: optional(attribute('mode', oneOf('custom', 'host-model', 'host-passthrough', 'maximum'))),
  match: optional(attribute('match', oneOf('minimum', 'exact', 'strict'))),
  check: optional(attribute('check', oneOf('none', 'partial', 'full'))),
  migratable: optional(attribute('migratable', onOff)),
  model: optional(child(model)),
  vendor: optional(textChild('vendor', someText)),
  topology: optional(child(topology)),
  cache: verbatim('cache'),
  maxPhysAddr: verbatim('maxphysaddr'),
  features: children(feature),
  numa: verbatim('numa'),
})

/** The CPU that the guest sees. */
export type CpuDef = Parsed<typeof cpu>
