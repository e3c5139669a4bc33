import type { NamedCpu } from './domain-capabilities.ts'
import type { CpuDocument, HostCpuDocument } from './emulator-document.ts'
import { type CpuSignature, type X86Model, x86FeatureName, x86FeatureOrder, x86Models } from './x86-cpu-models.ts'
import { isStatedByCpuid, type X86Processor } from './x86-processor.ts'

/** Names of processor vendors as CPUID has them. */
const vendorNames: Readonly<Record<string, string>> = {
  GenuineIntel: 'Intel',
  AuthenticAMD: 'AMD',
  HygonGenuine: 'Hygon',
}

/** A processor, in names of definitions. */
interface Processor {
  readonly vendor: string | null
  readonly family: bigint | null
  readonly model: bigint | null
  readonly stepping: bigint | null
  readonly features: ReadonlySet<string>
}

/** A processor by the name of a model, with the features that it has beyond the model's. */
export interface ProcessorModel {
  readonly model: string
  readonly features: readonly string[]
}

/** A model with what a guest would have to require and to disable to be the host's. */
interface Candidate {
  readonly model: X86Model
  readonly isOfThisProcessor: boolean
  readonly required: readonly string[]
  readonly disabled: readonly string[]
}

/** The host's CPU by the name of a model, with what a guest must require and disable beyond it. */
export type HostModel = Pick<NamedCpu, 'model' | 'vendor' | 'features'>

/** Names of features that count where a processor is compared with a model. */
type Counts = (name: string) => boolean

/**
 * Describes an expanded host CPU by the named model that fits best: one that was made after this processor before any other, then the
 * one with the fewest differences. Only models that the emulator has are considered. Null where none fits.
 */
export function bestX86Model(hostCpu: HostCpuDocument, cpus: readonly CpuDocument[]): HostModel | null {
  const host = expandedCpu(hostCpu)
  const offered = new Map(cpus.map((cpu) => [cpu.name, cpu]))
  // Without vmx none of its parts exists, so none has to be taken away.
  const counts: Counts = (name) => !name.startsWith('vmx-') || host.features.has('vmx')
  const candidates = modelsFor(host).flatMap((model) => {
    const cpu = offered.get(model.name)
    return cpu === undefined ? [] : [candidateOf(model, { host, counts, blockers: cpu.blockers })]
  })
  const best = bestOf(candidates)
  if (best === null) return null
  return {
    model: best.model.name,
    vendor: host.vendor,
    features: [
      ...best.required.map((name) => ({ policy: 'require' as const, name })),
      ...best.disabled.map((name) => ({ policy: 'disable' as const, name })),
    ],
  }
}

/**
 * Describes a processor by the named model that fits best and what it has beyond it; a model that has more than the processor fits
 * not at all. Features that stand in model-specific registers do not count. Null where no model fits.
 */
export function processorX86Model(processor: X86Processor): ProcessorModel | null {
  const host: Processor = { ...processor, vendor: vendorNames[processor.vendor] ?? null }
  const candidates = modelsFor(host).map((model) => candidateOf(model, { host, counts: isStatedByCpuid, blockers: [] }))
  const best = bestOf(candidates.filter(({ disabled }) => disabled.length === 0))
  return best === null ? null : { model: best.model.name, features: best.required }
}

/** The name that definitions have for a vendor by its CPUID text; the text itself where they have none. */
export function x86VendorName(text: string): string {
  return vendorNames[text] ?? text
}

/** Models of the processor's vendor or of none, later ones first: of two that fit alike the first wins. */
function modelsFor({ vendor }: Processor): readonly X86Model[] {
  return x86Models.toReversed().filter((model) => model.vendor === null || model.vendor === vendor)
}

function bestOf(candidates: readonly Candidate[]): Candidate | null {
  let best: Candidate | null = null
  for (const candidate of candidates) if (best === null || isBetter(candidate, best)) best = candidate
  return best
}

function expandedCpu(hostCpu: HostCpuDocument): Processor {
  const values = new Map(hostCpu.properties.map(({ name, value }) => [name, value]))
  const number = (name: string): bigint | null => {
    const value = values.get(name)
    return typeof value === 'bigint' ? value : null
  }
  const vendor = values.get('vendor')
  const on = hostCpu.properties.filter(({ value }) => value === true).map(({ name }) => x86FeatureName(name))
  return {
    vendor: typeof vendor === 'string' ? (vendorNames[vendor] ?? null) : null,
    family: number('family'),
    model: number('model'),
    stepping: number('stepping'),
    features: new Set(on.filter((name) => x86FeatureOrder.has(name))),
  }
}

function candidateOf(
  model: X86Model,
  {
    host,
    counts,
    blockers,
  }: { readonly host: Processor; readonly counts: Counts; readonly blockers: readonly string[] },
): Candidate {
  const required = [...host.features].filter((name) => !model.features.has(name) && counts(name))
  const lacking = [...model.features].filter((name) => !host.features.has(name) && counts(name))
  // What the emulator's model of that name has and this host does not, whatever the table says.
  const blocked = blockers.map(x86FeatureName).filter((name) => x86FeatureOrder.has(name))
  return {
    model,
    isOfThisProcessor: model.signatures.some((signature) => matches(signature, host)),
    required: inOrder(required),
    disabled: inOrder([...new Set([...lacking, ...blocked])].filter((name) => !required.includes(name))),
  }
}

function matches({ family, model, steppings }: CpuSignature, host: Processor): boolean {
  if (host.family !== BigInt(family) || host.model !== BigInt(model)) return false
  if (steppings === null || host.stepping === null) return true
  return host.stepping >= BigInt(steppings[0]) && host.stepping <= BigInt(steppings[1])
}

function isBetter(candidate: Candidate, best: Candidate): boolean {
  if (candidate.isOfThisProcessor !== best.isOfThisProcessor) return candidate.isOfThisProcessor
  return differences(candidate) < differences(best)
}

/** What a model is known to have, programs take for granted: a feature that it must lose weighs as much as two that it gains. */
function differences({ required, disabled }: Candidate): number {
  return required.length + 2 * disabled.length
}

function inOrder(names: readonly string[]): readonly string[] {
  return names.toSorted((a, b) => (x86FeatureOrder.get(a) ?? 0) - (x86FeatureOrder.get(b) ?? 0))
}
