import { element, type Parsed } from '../xml/codec.ts'
import { attribute, child, children, optional, verbatim } from '../xml/parts.ts'
import { anyText, oneOf, unsignedLong, yesNo } from '../xml/value-codec.ts'

const timer = element('timer', {
  name: attribute('name', oneOf('platform', 'pit', 'rtc', 'hpet', 'tsc', 'kvmclock', 'hypervclock', 'armvtimer')),
  present: optional(attribute('present', yesNo)),
  tickPolicy: optional(attribute('tickpolicy', oneOf('delay', 'catchup', 'merge', 'discard'))),
  track: optional(attribute('track', oneOf('boot', 'guest', 'wall', 'realtime'))),
  frequencyHz: optional(attribute('frequency', unsignedLong)),
  mode: optional(attribute('mode', oneOf('auto', 'native', 'emulate', 'paravirt', 'smpsafe'))),
  catchup: verbatim('catchup'),
})

/** `<clock>`: what the guest's clock shows at the start, and its timers. */
export const clock = element('clock', {
  offset: attribute('offset', oneOf('utc', 'localtime', 'variable', 'timezone', 'absolute')),
  adjustment: optional(attribute('adjustment', anyText)),
  basis: optional(attribute('basis', oneOf('utc', 'localtime'))),
  timezone: optional(attribute('timezone', anyText)),
  start: optional(attribute('start', anyText)),
  timers: children(timer),
})

/** What the guest's clock shows. */
export type ClockDef = Parsed<typeof clock>

const suspendTo = { enabled: optional(attribute('enabled', yesNo)) }

/** `<pm>`: which sleep states the guest is offered. */
export const powerManagement = element('pm', {
  suspendToMem: optional(child(element('suspend-to-mem', suspendTo))),
  suspendToDisk: optional(child(element('suspend-to-disk', suspendTo))),
})
