import * as v from 'valibot'
import type { CpuProperty, EmulatorCapabilities, HostCpuDocument } from '../conf/emulator-document.ts'
import type { EmulatorProbe } from '../driver/emulator-probe.ts'

/** Form of the documents that are stored now; one in another form is as good as none: the emulator is asked again. */
export const documentForm = 2

const factsEntries = {
  form: v.literal(documentForm),
  virtTypes: v.array(v.picklist(['kvm', 'qemu', 'test'])),
  machines: v.array(
    v.object({ name: v.string(), alias: v.nullable(v.string()), maxCpus: v.number(), isDefault: v.boolean() }),
  ),
  cpuModels: v.array(v.object({ name: v.string(), usable: v.boolean() })),
  flags: v.array(v.string()),
  version: v.number(),
  package: v.string(),
  arch: v.string(),
}

/** The part of a stored capability document that definitions are judged by; the rest of it is not looked at. */
export const documentSchema = v.object(factsEntries)
/** Between the facts and the rest; inside a text of JSON the quotation marks would not stand like this. */
const behindFacts = ',"capabilities":{'

const integer = v.pipe(
  v.object({ integer: v.pipe(v.string(), v.regex(/^-?\d+$/)) }),
  v.transform(({ integer: digits }) => BigInt(digits)),
)
const text = v.string()
const flagged = v.boolean()
const hostCpu = v.object({
  model: text,
  migratability: flagged,
  properties: v.array(
    v.object({ name: text, value: v.union([flagged, text, integer]), migratable: v.nullable(flagged) }),
  ),
  deprecatedFeatures: v.array(text),
})
const cpu = v.object({
  name: text,
  typeName: v.nullable(text),
  usable: v.nullable(flagged),
  blockers: v.array(text),
  deprecated: flagged,
})
const machine = v.object({
  name: text,
  alias: v.nullable(text),
  hotplugCpus: flagged,
  maxCpus: v.number(),
  isDefault: flagged,
  defaultCpu: v.nullable(text),
  numaMemory: flagged,
  defaultRamId: v.nullable(text),
  deprecated: flagged,
  acpi: v.nullable(flagged),
})
const capabilities = v.object({
  flags: v.array(text),
  version: v.number(),
  package: text,
  arch: text,
  accelerators: v.array(
    v.object({
      type: v.picklist(['kvm', 'hvf', 'tcg']),
      hostCpu: v.nullable(hostCpu),
      cpus: v.array(cpu),
      machines: v.array(machine),
    }),
  ),
  gic: v.array(v.object({ version: v.number(), kernel: flagged, emulated: flagged })),
  sev: v.nullable(
    v.object({
      cBitPosition: v.number(),
      reducedPhysicalBits: v.number(),
      pdh: text,
      certChain: text,
      cpu0Id: v.nullable(text),
    }),
  ),
  sgx: v.nullable(
    v.object({
      flc: flagged,
      sgx1: flagged,
      sgx2: flagged,
      sectionSizeKib: integer,
      sections: v.array(v.object({ node: v.number(), sizeKib: integer })),
    }),
  ),
  hyperv: v.nullable(v.array(text)),
})

/** The part of a stored document that definitions are judged by. */
export type DocumentFacts = v.InferOutput<typeof documentSchema>

/** A stored document. */
export interface StoredDocument extends DocumentFacts {
  readonly capabilities: EmulatorCapabilities
}

/** The whole of a stored capability document. Throws where it is in another form. */
export function parseDocument(stored: string): StoredDocument {
  return v.parse(v.object({ ...factsEntries, capabilities }), JSON.parse(stored))
}

/** The facts of a stored document, which are a tenth of it; the rest is not looked at. Throws where it is in another form. */
export function parseFacts(stored: string): DocumentFacts {
  const end = stored.indexOf(behindFacts)
  return v.parse(documentSchema, JSON.parse(end === -1 ? stored : `${stored.slice(0, end)}}`))
}

/** The part of a probe's answer that makes a capability version, as text: equal documents are the same version. */
export function documentText(probe: Omit<EmulatorProbe, 'binary' | 'facts' | 'conversation'>): string {
  const { virtTypes, machines, cpuModels, flags, version, arch } = probe
  const facts = { virtTypes, machines, cpuModels, flags, version, package: probe.package, arch }
  return JSON.stringify({ form: documentForm, ...facts, capabilities: plain(probe.capabilities) })
}

/** With its integers as JSON can have them, wherever there are any: a replacer would be asked of every member, which takes ten times as long. */
function plain(whole: EmulatorCapabilities): object {
  const plainCpu = (host: HostCpuDocument): object => ({ ...host, properties: host.properties.map(plainValue) })
  const accelerators = whole.accelerators.map((each) => ({ ...each, hostCpu: each.hostCpu && plainCpu(each.hostCpu) }))
  const sections = whole.sgx?.sections.map((each) => ({ ...each, sizeKib: integerOf(each.sizeKib) }))
  const sgx = whole.sgx && { ...whole.sgx, sectionSizeKib: integerOf(whole.sgx.sectionSizeKib), sections }
  return { ...whole, accelerators, sgx }
}

function plainValue(property: CpuProperty): object {
  return typeof property.value === 'bigint' ? { ...property, value: integerOf(property.value) } : property
}

function integerOf(value: bigint): { readonly integer: string } {
  return { integer: String(value) }
}
