import { x86CpuidBits } from './x86-cpu-models.ts'

/** What an x86 processor says of itself. */
export interface X86Processor {
  /** As CPUID has it, such as `GenuineIntel`. */
  readonly vendor: string
  readonly family: bigint | null
  readonly model: bigint | null
  readonly stepping: bigint | null
  /** In names of definitions. */
  readonly features: ReadonlySet<string>
  /** The features that it would have told of, had it had them. */
  readonly tellable: ReadonlySet<string>
}

/** The four registers that CPUID answers in. */
export interface CpuidRegisters {
  readonly eax: number
  readonly ebx: number
  readonly ecx: number
  readonly edx: number
}

/** Features with those that could have been among them. */
export type TellableFeatures = Pick<X86Processor, 'features' | 'tellable'>

const firstExtendedLeaf = 0x80000000

/** Features by the processor's own CPUID. A leaf that is not there is not asked for: processors answer with another one's registers. */
export function featuresByCpuid(read: (leaf: number, subleaf: number) => CpuidRegisters): TellableFeatures {
  const last = { basic: read(0, 0).eax >>> 0, extended: read(firstExtendedLeaf, 0).eax >>> 0 }
  const answers = new Map<string, CpuidRegisters>()
  const features = new Set<string>()
  for (const { name, leaf, subleaf, register, bit } of x86CpuidBits) {
    if (leaf > (leaf < firstExtendedLeaf ? last.basic : last.extended)) continue
    const key = `${leaf}.${subleaf}`
    const registers = answers.get(key) ?? read(leaf, subleaf)
    answers.set(key, registers)
    if (((registers[register] >>> bit) & 1) === 1) features.add(name)
  }
  return { features, tellable: new Set(x86CpuidBits.map(({ name }) => name)) }
}

/** Names of the kernel's that are spelled otherwise. */
const flagNames: Readonly<Record<string, string>> = {
  pclmulqdq: 'pclmuldq',
  tscdeadlinetimer: 'tsc-deadline',
  nonstoptsc: 'invtsc',
}

/** What the kernel does not show, or shows by a name that stands for several bits of CPUID. */
const untold: ReadonlySet<string> = new Set([
  ...['osxsave', 'spec-ctrl', 'ibrs', 'ibpb', 'stibp', 'ssbd', 'amd-stibp', 'amd-ssbd', 'amd-no-ssb', 'amd-psfd'],
  ...['stibp-always-on', 'virt-ssbd', 'core-capability', 'svm-lock', 'nodeid_msr', 'pn', 'ia64'],
])

/** Features by the flags of /proc/cpuinfo: those that the kernel uses, so fewer than the processor has. */
export function featuresByFlags(flags: readonly string[]): TellableFeatures {
  const names = x86CpuidBits.map(({ name }) => name).filter((name) => !untold.has(name))
  const known = new Map(names.map((name) => [plain(name), name]))
  const found = flags.map((flag) => known.get(plain(flagNames[plain(flag)] ?? flag)))
  return { features: new Set(found.filter((name) => name !== undefined)), tellable: new Set(names) }
}

/** Names are written with `_`, `-`, `.` or nothing between their words. */
function plain(name: string): string {
  return name.replaceAll(/[-_.]/g, '')
}
