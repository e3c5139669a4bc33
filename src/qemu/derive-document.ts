import * as v from 'valibot'
import type {
  Accelerator,
  AcceleratorDocument,
  CpuDocument,
  DocumentFormat,
  EmulatorCapabilities,
  EmulatorDocument,
  GicVersion,
  MachineDocument,
  SevDocument,
  SgxDocument,
} from '../conf/emulator-document.ts'
import { archNames } from './arch-names.ts'
import { capabilityFlags } from './capability-flags.ts'
import { deriveHostCpu, hypervQuestion } from './derive-host-cpu.ts'
import { FlagEvidence } from './flag-evidence.ts'
import type { ProbeConversation } from './probe-conversation.ts'
import { parseQmpValue } from './qmp-message.ts'

const unsigned = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const upTo = (most: number) => v.pipe(unsigned, v.maxValue(most))
/** What goes into columns of read models: short and printable. */
const word = v.pipe(v.string(), v.maxLength(1024), v.regex(/^\P{Cc}*$/u))
// Three digits for minor and micro in one number of 31 bits.
const versionReply = v.object({
  qemu: v.object({ major: upTo(2000), minor: upTo(999), micro: upTo(999) }),
  package: word,
})
const targetReply = v.object({ arch: word })
const kvmReply = v.object({ enabled: v.boolean(), present: v.boolean() })
const typesReply = v.array(v.object({ name: v.string() }))
const machinesReply = v.array(
  v.object({
    name: v.string(),
    alias: v.optional(v.string()),
    'is-default': v.optional(v.boolean(), false),
    'cpu-max': unsigned,
    'hotpluggable-cpus': v.optional(v.boolean(), false),
    'numa-mem-supported': v.optional(v.boolean(), false),
    'default-cpu-type': v.optional(v.string()),
    'default-ram-id': v.optional(v.string()),
    deprecated: v.optional(v.boolean(), false),
    acpi: v.optional(v.boolean()),
  }),
)
const cpusReply = v.array(
  v.object({
    name: v.string(),
    typename: v.optional(v.string()),
    'unavailable-features': v.optional(v.array(v.string())),
    deprecated: v.optional(v.boolean(), false),
  }),
)
const gicReply = v.array(v.object({ version: unsigned, kernel: v.boolean(), emulated: v.boolean() }))
const sevReply = v.object({
  cbitpos: unsigned,
  'reduced-phys-bits': unsigned,
  pdh: v.string(),
  'cert-chain': v.string(),
  'cpu0-id': v.optional(v.string()),
})
const sgxReply = v.object({
  sgx: v.boolean(),
  flc: v.boolean(),
  sgx1: v.boolean(),
  sgx2: v.boolean(),
  'section-size': v.optional(unsigned),
  sections: v.optional(v.array(v.object({ node: unsigned, size: unsigned })), []),
})
const expansionReply = v.object({ model: v.object({ props: v.record(v.string(), v.unknown()) }) })

/** The machine that an architecture's guests get by habit, in each layout: it stands first, whatever QEMU's own default is. */
const preferredMachines: Readonly<Record<string, Readonly<Record<DocumentFormat, string>>>> = {
  i686: { '9.0.0': 'pc', '11.3.0': 'pc' },
  x86_64: { '9.0.0': 'pc', '11.3.0': 'pc' },
  armv7l: { '9.0.0': 'integratorcp', '11.3.0': 'virt' },
  aarch64: { '9.0.0': 'integratorcp', '11.3.0': 'virt' },
  riscv32: { '9.0.0': 'spike_v1.10', '11.3.0': 'virt' },
  riscv64: { '9.0.0': 'spike_v1.10', '11.3.0': 'virt' },
  loongarch64: { '9.0.0': 'virt', '11.3.0': 'virt' },
  ppc: { '9.0.0': 'g3beige', '11.3.0': 'g3beige' },
  ppc64: { '9.0.0': 'pseries', '11.3.0': 'pseries' },
  s390x: { '9.0.0': 's390-ccw-virtio', '11.3.0': 's390-ccw-virtio' },
  sparc: { '9.0.0': 'SS-5', '11.3.0': 'SS-5' },
}

/** The Hyper-V enlightenments that have a name in definitions, in the order of the document. */
const hypervNames = [
  ...['relaxed', 'vapic', 'spinlocks', 'vpindex', 'runtime', 'synic', 'stimer', 'reset', 'vendor_id', 'frequencies'],
  ...['reenlightenment', 'tlbflush', 'ipi', 'evmcs', 'avic', 'emsr_bitmap', 'xmm_input'],
] as const

/** By which accelerators and in which layout a document is derived. */
export interface DerivationChoice {
  /** Whether the host has macOS's hypervisor. */
  readonly hasHvf: boolean
  readonly format: DocumentFormat
}

/** What a conversation alone cannot say. */
export interface DerivationContext extends DerivationChoice {
  readonly emulator: string
  readonly emulatorChangedS: bigint
  readonly daemonChangedS: bigint
  readonly daemonVersion: number
  readonly microcodeVersion: number
}

/** Derives the whole capability document of an emulator from what it answered and from what is known of its file and host. */
export function deriveDocument(conversation: ProbeConversation, context: DerivationContext): EmulatorDocument {
  const { emulator, emulatorChangedS, daemonChangedS, daemonVersion, microcodeVersion, ...choice } = context
  const around = { emulator, emulatorChangedS, daemonChangedS, daemonVersion, microcodeVersion }
  return { ...around, ...deriveCapabilities(conversation, choice) }
}

/**
 * Derives what an emulator can do from what it answered. Pure: a recording gives the same at any time, and newer code a better one. Throws Fault where an
 * answer that no document can do without is missing or cannot be read.
 */
export function deriveCapabilities(conversation: ProbeConversation, choice: DerivationChoice): EmulatorCapabilities {
  return deriveWithEvidence(conversation, choice).capabilities
}

/** The same, with what the flags were judged by. */
export function deriveWithEvidence(
  conversation: ProbeConversation,
  choice: DerivationChoice,
): { readonly capabilities: EmulatorCapabilities; readonly evidence: FlagEvidence } {
  const read = <Shape extends v.GenericSchema>(command: string, shape: Shape) =>
    parseQmpValue(conversation.value(0, { command }), { shape, of: command })
  const { qemu, package: packaged } = read('query-version', versionReply)
  const version = qemu.major * 1_000_000 + qemu.minor * 1_000 + qemu.micro
  const { arch: target } = read('query-target', targetReply)
  const arch = archNames[target] ?? target
  const accelerators = deriveAccelerators(conversation, { arch, choice })
  const sev = optional(conversation, { command: 'query-sev-capabilities', shape: sevReply })
  const sgx = optional(conversation, { command: 'query-sgx-capabilities', shape: sgxReply })
  const evidence = evidenceOf(conversation, {
    ...{ arch, version, accelerators },
    hasSev: sev !== null,
    hasSgx: sgx?.sgx === true,
  })
  const flags = capabilityFlags
    .filter(({ fact, formats }) => formats.includes(choice.format) && evidence.holds(fact))
    .map(({ flag }) => flag)
  const capabilities: EmulatorCapabilities = {
    flags: [...new Set(flags)],
    version,
    package: packaged.replace(/^ \((.*)\)$/, '$1'),
    arch,
    accelerators,
    gic: optional(conversation, { command: 'query-gic-capabilities', shape: gicReply })?.map(gicOf) ?? [],
    sev: sev === null ? null : sevOf(sev),
    sgx: sgx === null || !sgx.sgx ? null : sgxOf(sgx),
    hyperv: deriveHyperv(conversation),
  }
  return { capabilities, evidence }
}

function evidenceOf(
  conversation: ProbeConversation,
  known: Pick<EmulatorDocument, 'arch' | 'version' | 'accelerators'> & {
    readonly hasSev: boolean
    readonly hasSgx: boolean
  },
): FlagEvidence {
  const { accelerators, ...rest } = known
  return new FlagEvidence(conversation, {
    ...rest,
    accelerators: new Set(accelerators.map(({ type }) => type)),
    machineTypes: machineTypes(accelerators),
    cpuModels: new Set(accelerators.flatMap(({ cpus }) => cpus.map(({ name }) => name))),
  })
}

/** The accelerators in the order of the document; translation has a section of its own where there is another. */
function deriveAccelerators(
  conversation: ProbeConversation,
  { arch, choice: { format, hasHvf } }: { readonly arch: string; readonly choice: DerivationChoice },
): readonly AcceleratorDocument[] {
  const types = new Set(
    (optional(conversation, { command: 'qom-list-types', shape: typesReply }) ?? []).map(({ name }) => name),
  )
  const kvm = optional(conversation, { command: 'query-kvm', shape: kvmReply })
  const first: readonly Accelerator[] = [
    ...(kvm?.enabled === true && kvm.present ? (['kvm'] as const) : []),
    ...(hasHvf ? (['hvf'] as const) : []),
  ]
  const native = first.map((type) => acceleratorOf(conversation, { type, section: 0, arch, model: 'host', format }))
  if (!types.has('tcg-accel')) return native
  const section = conversation.sections.length > 1 && native.length > 0 ? 1 : 0
  const model = section === 0 ? 'host' : 'max'
  return [...native, acceleratorOf(conversation, { type: 'tcg', section, arch, model, format })]
}

interface Section {
  readonly format: DocumentFormat
  readonly type: Accelerator
  readonly section: number
  readonly arch: string
  readonly model: 'host' | 'max'
}

function acceleratorOf(
  conversation: ProbeConversation,
  { type, section, arch, model, format }: Section,
): AcceleratorDocument {
  const cpus = optional(conversation, { command: 'query-cpu-definitions', shape: cpusReply, section }) ?? []
  const machines = optional(conversation, { command: 'query-machines', shape: machinesReply, section }) ?? []
  return {
    type,
    hostCpu: deriveHostCpu(conversation, { section, arch, model }),
    cpus: cpus.map((cpu) => cpuOf(cpu, arch)),
    machines: orderMachines(machines.filter(({ name }) => name !== 'none').map(machineOf), { arch, format }),
  }
}

function cpuOf(cpu: v.InferOutput<typeof cpusReply>[number], arch: string): CpuDocument {
  const missing = cpu['unavailable-features']
  return {
    // QEMU has the names of POWER generations in lower case, definitions in upper case.
    name: arch === 'ppc64' ? cpu.name.replace(/^power(?=\d+$)/, 'POWER') : cpu.name,
    typeName: cpu.typename === undefined || cpu.typename === '' ? null : cpu.typename,
    usable: missing === undefined ? null : missing.length === 0,
    blockers: missing ?? [],
    deprecated: cpu.deprecated,
  }
}

function machineOf(machine: v.InferOutput<typeof machinesReply>[number]): MachineDocument {
  return {
    name: machine.name,
    alias: machine.alias ?? null,
    hotplugCpus: machine['hotpluggable-cpus'],
    maxCpus: machine['cpu-max'],
    isDefault: machine['is-default'],
    defaultCpu: machine['default-cpu-type'] ?? null,
    numaMemory: machine['numa-mem-supported'],
    defaultRamId: machine['default-ram-id'] ?? null,
    deprecated: machine.deprecated,
    acpi: machine.acpi ?? null,
  }
}

/** The machine that guests get which name none; undefined where there is no such. */
export function firstMachine(
  machines: readonly MachineDocument[],
  { arch, format }: { readonly arch: string; readonly format: DocumentFormat },
): MachineDocument | undefined {
  const preferred = preferredMachines[arch]?.[format]
  return (
    machines.find(({ name, alias }) => preferred !== undefined && (alias === preferred || name === preferred)) ??
    machines.find(({ isDefault }) => isDefault)
  )
}

function orderMachines(
  machines: readonly MachineDocument[],
  { arch, format }: { readonly arch: string; readonly format: DocumentFormat },
): readonly MachineDocument[] {
  const first = firstMachine(machines, { arch, format })
  return first === undefined ? machines : [first, ...machines.filter((machine) => machine !== first)]
}

function machineTypes(accelerators: readonly AcceleratorDocument[]): ReadonlyMap<string, string> {
  const pairs = accelerators
    .flatMap(({ machines }) => machines)
    .flatMap(({ name, alias }) => [name, ...(alias === null ? [] : [alias])].map((key) => [key, name] as const))
  return new Map(pairs.map(([key, name]) => [key, `${name}-machine`]))
}

function gicOf({ version, kernel, emulated }: v.InferOutput<typeof gicReply>[number]): GicVersion {
  return { version, kernel, emulated }
}

function sevOf(sev: v.InferOutput<typeof sevReply>): SevDocument {
  return {
    cBitPosition: sev.cbitpos,
    reducedPhysicalBits: sev['reduced-phys-bits'],
    pdh: sev.pdh,
    certChain: sev['cert-chain'],
    cpu0Id: sev['cpu0-id'] ?? null,
  }
}

function sgxOf(sgx: v.InferOutput<typeof sgxReply>): SgxDocument {
  const kib = (bytes: number): bigint => BigInt(bytes) / 1024n
  const sections = sgx.sections.map(({ node, size }) => ({ node, sizeKib: kib(size) }))
  const whole = sgx.sections.reduce((sum, { size }) => sum + size, 0)
  const { flc, sgx1, sgx2 } = sgx
  return { flc, sgx1, sgx2, sectionSizeKib: kib(sgx['section-size'] ?? whole), sections }
}

function deriveHyperv(conversation: ProbeConversation): readonly string[] | null {
  const value = conversation.value(0, { command: 'query-cpu-model-expansion', args: hypervQuestion })
  if (value === undefined) return null
  const { props } = parseQmpValue(value, { shape: expansionReply, of: 'query-cpu-model-expansion' }).model
  const isOn = (name: string): boolean => {
    const property = props[`hv-${name.replaceAll('_', '-')}`]
    return property === true || typeof property === 'string' || (typeof property === 'number' && property > 0)
  }
  const found = hypervNames.filter(isOn)
  return found.length === 0 ? null : found
}

/** The answer to a question without arguments; null where it was not asked or refused. */
function optional<Shape extends v.GenericSchema>(
  conversation: ProbeConversation,
  { command, shape, section = 0 }: { readonly command: string; readonly shape: Shape; readonly section?: number },
): v.InferOutput<Shape> | null {
  const value = conversation.value(section, { command })
  return value === undefined ? null : parseQmpValue(value, { shape, of: command })
}
