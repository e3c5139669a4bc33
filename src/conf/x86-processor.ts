import { x86CpuidBits } from './x86-cpu-models.ts'

/** What an x86 processor says of itself. */
export interface X86Processor {
  /** As CPUID has it, such as `GenuineIntel`. */
  readonly vendor: string
  readonly family: bigint | null
  readonly model: bigint | null
  readonly stepping: bigint | null
  /** Those that CPUID states, in names of definitions. */
  readonly features: ReadonlySet<string>
}

/** The four registers that CPUID answers in. */
export interface CpuidRegisters {
  readonly eax: number
  readonly ebx: number
  readonly ecx: number
  readonly edx: number
}

const cpuidNames: ReadonlySet<string> = new Set(x86CpuidBits.map(({ name }) => name))

/** Whether a feature is one that CPUID states; others stand in model-specific registers, which are not read. */
export function isStatedByCpuid(name: string): boolean {
  return cpuidNames.has(name)
}

const firstExtendedLeaf = 0x80000000

/** Features by the processor's own CPUID. A leaf that is not there is not asked for: processors answer with another one's registers. */
export function featuresByCpuid(read: (leaf: number, subleaf: number) => CpuidRegisters): ReadonlySet<string> {
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
  return features
}

/** Names of the kernel's that are spelled otherwise. */
const flagNames: Readonly<Record<string, string>> = {
  pclmulqdq: 'pclmuldq',
  tscdeadlinetimer: 'tsc-deadline',
  nonstoptsc: 'invtsc',
}

/**
 * Names that the kernel gives to a defence whichever bit of CPUID offers it, by the vendor that has the bit. The bits themselves it does
 * not show.
 */
const defences: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  GenuineIntel: { ibrs: 'spec-ctrl', stibp: 'stibp', ssbd: 'ssbd' },
  AuthenticAMD: { ibrs: 'ibrs', ibpb: 'ibpb', stibp: 'amd-stibp', ssbd: 'amd-ssbd' },
  HygonGenuine: { ibrs: 'ibrs', ibpb: 'ibpb', stibp: 'amd-stibp', ssbd: 'amd-ssbd' },
}
const ambiguous: ReadonlySet<string> = new Set(['ibrs', 'ibpb', 'stibp', 'ssbd'])

/** Features by the flags of /proc/cpuinfo: those that the kernel uses, so fewer than the processor has. */
export function featuresByFlags(vendor: string, flags: readonly string[]): ReadonlySet<string> {
  const known = new Map(x86CpuidBits.map(({ name }) => [plain(name), name]))
  const nameOf = (flag: string): string | undefined => {
    if (ambiguous.has(flag)) return defences[vendor]?.[flag]
    return known.get(plain(flagNames[plain(flag)] ?? flag))
  }
  return new Set(flags.map(nameOf).filter((name) => name !== undefined))
}

/** Names are written with `_`, `-`, `.` or nothing between their words. */
function plain(name: string): string {
  return name.replaceAll(/[-_.]/g, '')
}
