import type { HostModel } from '../conf/best-x86-model.ts'
import type { CpuDef } from '../conf/cpu-def.ts'
import { qemuFeatureName } from '../conf/x86-cpu-models.ts'
import {
  type CommandLineFamily,
  type CommandLineRequest,
  optionsOnly,
  timerOf,
  unsupported,
} from './command-line-parts.ts'

// The list is cut at commas before values are looked at, so there is no way to quote.
const plainWord = /^[A-Za-z0-9_.+-]+$/

const policies = { force: true, require: true, optional: true, disable: false, forbid: false } as const

/** `-cpu`. */
export const cpuFamily: CommandLineFamily = (request) => {
  const { cpu } = request.definition
  const base = baseModel(request, cpu)
  const own = hostFeatures(cpu, request.hostModel)
  const parts = [base, ...migratable(base, cpu), ...switches(request), ...own, ...featuresOf(cpu)]
  return optionsOnly(['-cpu', parts.join(',')])
}

function baseModel(request: CommandLineRequest, cpu: CpuDef | undefined): string {
  switch (cpu?.mode ?? 'custom') {
    case 'host-passthrough':
      return request.accelerator === 'kvm' ? 'host' : 'max'
    case 'maximum':
      return 'max'
    case 'host-model':
      // Where no named model is near, the host's own CPU is nearest to it.
      return request.hostModel?.model ?? (request.accelerator === 'kvm' ? 'host' : 'max')
    case 'custom':
      return customModel(request, cpu)
  }
}

/** What the host has beyond its model, and lacks of it. */
function hostFeatures(cpu: CpuDef | undefined, hostModel: HostModel | null): readonly string[] {
  if (cpu?.mode !== 'host-model') return []
  return (hostModel?.features ?? []).map(
    ({ name, policy }) => `${word(qemuFeatureName(name), 'cpu')}=${onOff(policies[policy])}`,
  )
}

function customModel({ caps }: CommandLineRequest, cpu: CpuDef | undefined): string {
  const name = cpu?.model?.name ?? 'qemu64'
  if (!plainWord.test(name)) throw unsupported('cpu/model', `"${name}" is not the name of a CPU model`)
  if (caps.cpuModels.length > 0 && !caps.cpuModels.some((model) => model.name === name)) {
    throw unsupported('cpu/model', `emulator "${caps.binary}" has no CPU model "${name}"`)
  }
  return name
}

function migratable(base: string, cpu: CpuDef | undefined): readonly string[] {
  if (base !== 'host' && base !== 'max') return []
  return cpu?.migratable === undefined ? [] : [`migratable=${onOff(cpu.migratable)}`]
}

/** Properties of the CPU that other elements of a definition switch. */
function switches({ definition, accelerator }: CommandLineRequest): readonly string[] {
  const { features, clock } = definition
  const kvmclock = timerOf(clock, 'kvmclock')?.present
  const tsc = timerOf(clock, 'tsc')
  const state = (name: string, value: boolean | undefined): string[] =>
    value === undefined ? [] : [`${name}=${onOff(value)}`]
  return [
    ...(accelerator === 'kvm' ? [...state('kvmclock', kvmclock), ...state('kvm-pv-eoi', features?.apic?.eoi)] : []),
    ...(accelerator === 'kvm'
      ? state('kvm-pv-unhalt', features?.pvspinlock?.state ?? (features?.pvspinlock === undefined ? undefined : true))
      : []),
    ...state('pmu', features?.pmu === undefined ? undefined : (features.pmu.state ?? true)),
    ...state('hv-time', timerOf(clock, 'hypervclock')?.present),
    ...(tsc?.frequencyHz === undefined ? [] : [`tsc-frequency=${tsc.frequencyHz}`]),
    ...(definition.cpu?.model?.vendorId === undefined
      ? []
      : [`vendor=${word(definition.cpu.model.vendorId, 'cpu/model')}`]),
  ]
}

function featuresOf(cpu: CpuDef | undefined): readonly string[] {
  return (cpu?.features ?? []).map(
    ({ name, policy }) => `${word(name, 'cpu/feature')}=${onOff(policies[policy ?? 'require'])}`,
  )
}

function word(text: string, element: string): string {
  if (plainWord.test(text)) return text
  throw unsupported(element, `"${text}" holds characters that cannot stand on QEMU's command line`)
}

function onOff(value: boolean): 'on' | 'off' {
  return value ? 'on' : 'off'
}
