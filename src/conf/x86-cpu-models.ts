import { x86FeatureTable } from './cpu-features-x86.ts'
import { x86ModelTable } from './cpu-models-x86.ts'

/** A processor that a model was made after; `steppings` is null where any will do. */
export interface CpuSignature {
  readonly family: number
  readonly model: number
  readonly steppings: readonly [first: number, last: number] | null
}

/** A named CPU model with everything that it has. */
export interface X86Model {
  readonly name: string
  readonly vendor: string | null
  readonly signatures: readonly CpuSignature[]
  readonly features: ReadonlySet<string>
}

interface Row {
  readonly head: string
  readonly words: readonly string[]
}

/** Rows of a table: a line is a head, the indented lines below it are its words. */
function rowsOf(table: string): readonly Row[] {
  const rows: { head: string; words: string[] }[] = []
  for (const line of table.split('\n').filter((each) => each !== '')) {
    const row = rows.at(-1)
    if (line.startsWith(' ') && row !== undefined) row.words.push(...line.trim().split(' '))
    else rows.push({ head: line, words: [] })
  }
  return rows
}

/** Names of x86 features in the order in which they are listed, with their place in that order. */
export const x86FeatureOrder: ReadonlyMap<string, number> = new Map(
  rowsOf(x86FeatureTable)
    .flatMap(({ words }) => words)
    .map((word, index) => [word.slice(0, word.lastIndexOf(':')), index]),
)

/** A register of CPUID that states a feature by a bit. */
export interface CpuidBit {
  readonly name: string
  readonly leaf: number
  readonly subleaf: number
  readonly register: 'eax' | 'ebx' | 'ecx' | 'edx'
  readonly bit: number
}

/** The features that the processor states by CPUID; others stand in model-specific registers. */
export const x86CpuidBits: readonly CpuidBit[] = rowsOf(x86FeatureTable).flatMap(({ head, words }) => {
  const place = /^([0-9a-f]+)\.([0-9a-f]+) (eax|ebx|ecx|edx)$/.exec(head)
  const register = (['eax', 'ebx', 'ecx', 'edx'] as const).find((name) => name === place?.[3])
  if (register === undefined) return []
  const [leaf, subleaf] = [Number.parseInt(place?.[1] ?? '', 16), Number.parseInt(place?.[2] ?? '', 16)]
  return words.map((word) => {
    const colon = word.lastIndexOf(':')
    return { name: word.slice(0, colon), leaf, subleaf, register, bit: Number(word.slice(colon + 1)) }
  })
})

/** What a register of Intel's alone states (IA32_ARCH_CAPABILITIES), and that there is such a register. */
export const x86ArchCapabilities: ReadonlySet<string> = new Set([
  'arch-capabilities',
  ...rowsOf(x86FeatureTable)
    .filter(({ head }) => head.startsWith('msr 10a '))
    .flatMap(({ words }) => words.map((word) => word.slice(0, word.lastIndexOf(':')))),
])

/** QEMU writes a minus where some names of definitions have an underscore, and has names of its own for these. */
const otherNames: Readonly<Record<string, string>> = {
  pclmulqdq: 'pclmuldq',
  'vmx-invept-single-context-noglobals': 'vmx-invvpid-single-context-noglobals',
}
const minusNames: ReadonlyMap<string, string> = new Map(
  [...x86FeatureOrder.keys()].filter((name) => name.includes('_')).map((name) => [name.replaceAll('_', '-'), name]),
)

/** The name that definitions have for a feature of QEMU's. */
export function x86FeatureName(qemuName: string): string {
  return otherNames[qemuName] ?? minusNames.get(qemuName) ?? qemuName
}

const otherQemuNames: ReadonlyMap<string, string> = new Map(
  Object.entries(otherNames).map(([qemuName, name]) => [name, qemuName]),
)

/** The name that QEMU has for a feature of definitions. */
export function qemuFeatureName(name: string): string {
  return otherQemuNames.get(name) ?? (x86FeatureOrder.has(name) ? name.replaceAll('_', '-') : name)
}

/** The models that may describe a host, in the order of the table. */
export const x86Models: readonly X86Model[] = readModels()

function readModels(): readonly X86Model[] {
  const known = new Map<string, X86Model>()
  for (const { head, words } of rowsOf(x86ModelTable)) {
    const [name = '', vendor = '-', start = '-', ...signatures] = head.split(' ')
    const features = new Set(known.get(start)?.features)
    for (const word of words) {
      if (word.startsWith('-')) features.delete(word.slice(1))
      else features.add(word)
    }
    known.set(name, { name, vendor: vendor === '-' ? null : vendor, signatures: signatures.map(signatureOf), features })
  }
  return [...known.values()]
}

function signatureOf(text: string): CpuSignature {
  const [family = '', model = '', steppings] = text.split('/')
  const [first = '', last = first] = steppings?.split('-') ?? []
  return {
    family: Number(family),
    model: Number(model),
    steppings: steppings === undefined ? null : [Number(first), Number(last)],
  }
}
