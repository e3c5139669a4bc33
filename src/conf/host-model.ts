import { bestX86Model, type HostModel } from './best-x86-model.ts'
import type { EmulatorCapabilities } from './emulator-document.ts'
import { x86Arches } from './guest-kind.ts'
import { x86ArchCapabilities, x86FeatureName } from './x86-cpu-models.ts'

/**
 * What CPU mode `host-model` means to an emulator: the model that its domain capabilities name, too. Null where there is none: the emulator
 * does not tell what it can give, or its models are not described.
 */
export function hostModelOf(
  { arch, accelerators }: Pick<EmulatorCapabilities, 'arch' | 'accelerators'>,
  accelerator: 'kvm' | 'tcg',
): HostModel | null {
  const { hostCpu = null, cpus = [] } = accelerators.find(({ type }) => type === accelerator) ?? {}
  if (hostCpu === null || !x86Arches.includes(arch)) return null
  const best = bestX86Model(hostCpu, cpus)
  if (best === null) return null
  // What the emulator has never heard of it cannot be told to leave out.
  const known = new Set(hostCpu.properties.map(({ name }) => x86FeatureName(name)))
  // KVM offers Intel's register on other processors, too, but refuses to fill it there: QEMU would end. Guests do not look for it.
  const isOffered = (name: string): boolean => best.vendor === 'Intel' || !x86ArchCapabilities.has(name)
  const features = best.features.filter(({ name, policy }) =>
    policy === 'require' ? isOffered(name) : known.has(name),
  )
  return { ...best, features }
}
