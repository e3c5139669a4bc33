import { bestX86Model } from './best-x86-model.ts'
import { type KnownModel, powerModels, x86KnownModels } from './cpu-model-names.ts'
import type { CpuCapabilities, CustomCpu, NamedCpu } from './domain-capabilities.ts'
import type { AcceleratorDocument, CpuDocument, HostCpuDocument } from './emulator-document.ts'
import { flag, type GuestKind, x86Arches } from './guest-kind.ts'
import { x86FeatureName } from './x86-cpu-models.ts'

/** What is told of the host's CPU beside the emulator. */
export interface HostCpuFacts {
  /** The model that definitions name it by, where it is not the emulator that tells: POWER. */
  readonly model: string | null
  /** Bits of physical addresses; null where the host does not tell. */
  readonly physicalBits: number | null
}

/** What of the emulator and the host decides about a guest's CPU. */
export interface CpuSources {
  /** What holds under the guest's accelerator; null where the emulator does not have it. */
  readonly accelerator: AcceleratorDocument | null
  readonly host: HostCpuFacts
}

const power: readonly string[] = ['ppc64', 'ppc64le']

function runsOnHardware({ virtType }: GuestKind): boolean {
  return virtType === 'kvm' || virtType === 'hvf'
}

/** The CPU modes of a guest. */
export function describeGuestCpu(guest: GuestKind, { accelerator, host }: CpuSources): CpuCapabilities {
  const migratable = flag('cpu.migratable')(guest) ? ['on', 'off'] : ['off']
  const group = (name: string, values: readonly string[] | null) => ({
    name,
    supported: values !== null,
    enums: values === null ? [] : [{ name: `${name === 'maximum' ? name : 'hostPassthrough'}Migratable`, values }],
  })
  const cpus = accelerator?.cpus ?? []
  return {
    hostPassthrough: group('host-passthrough', runsOnHardware(guest) ? migratable : null),
    maximum: group('maximum', flag('cpu-max')(guest) ? ['on', 'off'] : null),
    hostModel: hostModelOf(guest, { hostCpu: accelerator?.hostCpu ?? null, cpus, host }),
    custom: cpus
      .flatMap((cpu) => customCpu(cpu, guest.arch))
      // Bytes, not letters: as every list of names in these documents.
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  }
}

interface HostModelSources {
  readonly hostCpu: HostCpuDocument | null
  readonly cpus: readonly CpuDocument[]
  readonly host: HostCpuFacts
}

/** The host's CPU by a name; null where nobody can tell it. */
function hostModelOf(guest: GuestKind, { hostCpu, cpus, host }: HostModelSources): NamedCpu | null {
  const physicalBitsLimit = runsOnHardware(guest) ? host.physicalBits : null
  if (power.includes(guest.arch)) {
    if (!runsOnHardware(guest) || host.model === null) return null
    return { model: host.model, fallback: 'allow', vendor: null, physicalBitsLimit, features: [] }
  }
  if (hostCpu === null) return null
  if (x86Arches.includes(guest.arch)) {
    const best = bestX86Model(hostCpu, cpus)
    return best === null ? null : { ...best, fallback: 'forbid', physicalBitsLimit }
  }
  if (guest.arch !== 's390x') return null
  // s390x names its models and what they have more or less itself.
  const features = hostCpu.properties.flatMap(({ name, value }) =>
    typeof value === 'boolean' ? [{ policy: value ? ('require' as const) : ('disable' as const), name }] : [],
  )
  return { model: hostCpu.model, fallback: 'forbid', vendor: null, physicalBitsLimit, features }
}

/** A model of the emulator's, where definitions know it. */
function customCpu(cpu: CpuDocument, arch: string): readonly CustomCpu[] {
  const known = knownModel(cpu.name, arch)
  if (known === undefined) return []
  const names = x86Arches.includes(arch) ? cpu.blockers.map(x86FeatureName) : cpu.blockers
  return [
    {
      name: cpu.name,
      usable: cpu.usable === null ? 'unknown' : cpu.usable ? 'yes' : 'no',
      deprecated: cpu.deprecated,
      ...known,
      blockers: [...new Set(names)].toSorted((a, b) => (a < b ? -1 : 1)),
    },
  ]
}

/** What definitions know of a model; architectures without a table of their own take the emulator's names as they are. */
function knownModel(name: string, arch: string): KnownModel | undefined {
  if (x86Arches.includes(arch)) return x86KnownModels.get(name)
  if (power.includes(arch)) {
    const vendor = powerModels[name]
    return vendor === undefined ? undefined : { vendor, canonical: null }
  }
  if (name === 'host') return undefined
  const isIbm = arch === 's390x' && name !== 'max' && name !== 'qemu'
  return { vendor: isIbm ? 'IBM' : 'unknown', canonical: null }
}
