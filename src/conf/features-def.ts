import { element } from '../xml/codec.ts'
import { attribute, child, flag, optional, verbatim } from '../xml/parts.ts'
import { anyText, onOff } from '../xml/value-codec.ts'

const state = { state: optional(attribute('state', onOff)) }

/** `<features>`: parts of the machine that can be switched, in canonical order. */
export const features = element('features', {
  acpi: flag('acpi'),
  apic: optional(child(element('apic', { eoi: optional(attribute('eoi', onOff)) }))),
  pae: flag('pae'),
  hap: optional(child(element('hap', state))),
  viridian: flag('viridian'),
  privnet: flag('privnet'),
  hyperv: verbatim('hyperv'),
  kvm: verbatim('kvm'),
  pvspinlock: optional(child(element('pvspinlock', state))),
  capabilities: verbatim('capabilities'),
  pmu: optional(child(element('pmu', state))),
  vmport: optional(child(element('vmport', state))),
  gic: optional(child(element('gic', { version: optional(attribute('version', anyText)) }))),
  smm: optional(child(element('smm', state))),
  ioapic: verbatim('ioapic'),
  hpt: verbatim('hpt'),
  vmcoreinfo: optional(child(element('vmcoreinfo', state))),
  htm: verbatim('htm'),
  nestedHv: verbatim('nested-hv'),
  msrs: verbatim('msrs'),
  ccfAssist: verbatim('ccf-assist'),
  xen: verbatim('xen'),
  cfpc: verbatim('cfpc'),
  sbbc: verbatim('sbbc'),
  ibs: verbatim('ibs'),
  tcg: verbatim('tcg'),
  asyncTeardown: verbatim('async-teardown'),
  ras: verbatim('ras'),
  ps2: optional(child(element('ps2', state))),
  aia: verbatim('aia'),
})
