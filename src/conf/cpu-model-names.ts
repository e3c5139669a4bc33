/** A family of CPU models as definitions and the emulator name them: versions are `FAMILY-v1` and on. */
export interface CpuModelFamily {
  readonly family: string
  readonly vendor: string
  /** How many versions definitions know. */
  readonly versions: number
  /** Names without a version, and the version that each stands for. */
  readonly names: Readonly<Record<string, number>>
}

function family(name: string, vendor: string, of: Omit<CpuModelFamily, 'family' | 'vendor'>): CpuModelFamily {
  return { family: name, vendor, ...of }
}

/** The families of x86 CPU models. */
export const x86ModelFamilies: readonly CpuModelFamily[] = [
  family('486', 'unknown', { versions: 1, names: { 486: 1 } }),
  family('kvm32', 'unknown', { versions: 1, names: { kvm32: 1 } }),
  family('kvm64', 'unknown', { versions: 1, names: { kvm64: 1 } }),
  family('pentium', 'unknown', { versions: 1, names: { pentium: 1 } }),
  family('pentium2', 'unknown', { versions: 1, names: { pentium2: 1 } }),
  family('pentium3', 'unknown', { versions: 1, names: { pentium3: 1 } }),
  family('qemu32', 'unknown', { versions: 1, names: { qemu32: 1 } }),
  family('qemu64', 'unknown', { versions: 1, names: { qemu64: 1 } }),
  family('Broadwell', 'Intel', {
    versions: 4,
    names: { Broadwell: 1, 'Broadwell-IBRS': 3, 'Broadwell-noTSX': 2, 'Broadwell-noTSX-IBRS': 4 },
  }),
  family('Cascadelake-Server', 'Intel', {
    versions: 5,
    names: { 'Cascadelake-Server': 1, 'Cascadelake-Server-noTSX': 3 },
  }),
  family('Conroe', 'Intel', { versions: 1, names: { Conroe: 1 } }),
  family('Cooperlake', 'Intel', { versions: 2, names: { Cooperlake: 1 } }),
  family('core2duo', 'Intel', { versions: 1, names: { core2duo: 1 } }),
  family('coreduo', 'Intel', { versions: 1, names: { coreduo: 1 } }),
  family('Denverton', 'Intel', { versions: 3, names: { Denverton: 1 } }),
  family('GraniteRapids', 'Intel', { versions: 2, names: { GraniteRapids: 1 } }),
  family('Haswell', 'Intel', {
    versions: 4,
    names: { Haswell: 1, 'Haswell-IBRS': 3, 'Haswell-noTSX': 2, 'Haswell-noTSX-IBRS': 4 },
  }),
  family('Icelake-Server', 'Intel', { versions: 7, names: { 'Icelake-Server': 1, 'Icelake-Server-noTSX': 2 } }),
  family('IvyBridge', 'Intel', { versions: 2, names: { IvyBridge: 1, 'IvyBridge-IBRS': 2 } }),
  family('KnightsMill', 'Intel', { versions: 1, names: { KnightsMill: 1 } }),
  family('n270', 'Intel', { versions: 1, names: { n270: 1 } }),
  family('Nehalem', 'Intel', { versions: 2, names: { Nehalem: 1, 'Nehalem-IBRS': 2 } }),
  family('Penryn', 'Intel', { versions: 1, names: { Penryn: 1 } }),
  family('SandyBridge', 'Intel', { versions: 2, names: { SandyBridge: 1, 'SandyBridge-IBRS': 2 } }),
  family('SapphireRapids', 'Intel', { versions: 3, names: { SapphireRapids: 1 } }),
  family('SierraForest', 'Intel', { versions: 1, names: { SierraForest: 1 } }),
  family('Skylake-Client', 'Intel', {
    versions: 4,
    names: { 'Skylake-Client': 1, 'Skylake-Client-IBRS': 2, 'Skylake-Client-noTSX-IBRS': 3 },
  }),
  family('Skylake-Server', 'Intel', {
    versions: 5,
    names: { 'Skylake-Server': 1, 'Skylake-Server-IBRS': 2, 'Skylake-Server-noTSX-IBRS': 3 },
  }),
  family('Snowridge', 'Intel', { versions: 4, names: { Snowridge: 1 } }),
  family('Westmere', 'Intel', { versions: 2, names: { Westmere: 1, 'Westmere-IBRS': 2 } }),
  family('athlon', 'AMD', { versions: 1, names: { athlon: 1 } }),
  family('EPYC', 'AMD', { versions: 4, names: { EPYC: 1, 'EPYC-IBPB': 2 } }),
  family('EPYC-Genoa', 'AMD', { versions: 1, names: { 'EPYC-Genoa': 1 } }),
  family('EPYC-Milan', 'AMD', { versions: 2, names: { 'EPYC-Milan': 1 } }),
  family('EPYC-Rome', 'AMD', { versions: 4, names: { 'EPYC-Rome': 1 } }),
  family('Opteron_G1', 'AMD', { versions: 1, names: { Opteron_G1: 1 } }),
  family('Opteron_G2', 'AMD', { versions: 1, names: { Opteron_G2: 1 } }),
  family('Opteron_G3', 'AMD', { versions: 1, names: { Opteron_G3: 1 } }),
  family('Opteron_G4', 'AMD', { versions: 1, names: { Opteron_G4: 1 } }),
  family('Opteron_G5', 'AMD', { versions: 1, names: { Opteron_G5: 1 } }),
  family('phenom', 'AMD', { versions: 1, names: { phenom: 1 } }),
  family('Dhyana', 'Hygon', { versions: 2, names: { Dhyana: 1 } }),
]

/** x86 CPU models that definitions know without a version. */
export const x86PlainModels: Readonly<Record<string, string>> = {
  'Icelake-Client': 'Intel',
  'Icelake-Client-noTSX': 'Intel',
  'cpu64-rhel5': 'unknown',
  'cpu64-rhel6': 'unknown',
  pentiumpro: 'unknown',
}

/** POWER CPU models that definitions know. */
export const powerModels: Readonly<Record<string, string>> = {
  POWER6: 'IBM',
  POWER7: 'IBM',
  POWER8: 'IBM',
  POWER9: 'IBM',
  POWER10: 'IBM',
  POWER11: 'IBM',
  POWERPC_e5500: 'Freescale',
  POWERPC_e6500: 'Freescale',
}

/** What is known of a model's name. */
export interface KnownModel {
  readonly vendor: string
  readonly canonical: string | null
}

/** Every x86 CPU model that definitions may name. */
export const x86KnownModels: ReadonlyMap<string, KnownModel> = new Map([
  ...x86ModelFamilies.flatMap(knownOf),
  ...Object.entries(x86PlainModels).map(([name, vendor]) => [name, { vendor, canonical: null }] as const),
])

function knownOf({
  family: name,
  vendor,
  versions,
  names,
}: CpuModelFamily): readonly (readonly [string, KnownModel])[] {
  const versioned = Array.from(
    { length: versions },
    (_, at) => [`${name}-v${at + 1}`, { vendor, canonical: null }] as const,
  )
  const short = Object.entries(names).map(
    ([alias, version]) => [alias, { vendor, canonical: `${name}-v${version}` }] as const,
  )
  return [...versioned, ...short]
}
