import * as v from 'valibot'
import type { CpuProperty, HostCpuDocument } from '../conf/emulator-document.ts'
import type { ProbeConversation } from './probe-conversation.ts'
import { parseQmpValue } from './qmp-message.ts'
import type { SchemaPaths } from './schema-paths.ts'

const propertyValue = v.union([v.boolean(), v.number(), v.bigint(), v.string()])
const expansion = v.object({
  model: v.object({ name: v.string(), props: v.optional(v.record(v.string(), v.unknown()), {}) }),
  'deprecated-props': v.optional(v.array(v.string()), []),
})

type Expansion = v.InferOutput<typeof expansion>

const command = 'query-cpu-model-expansion'
const deprecatedProps = `${command}/ret-type/deprecated-props`

/** Which expansion describes the host's CPU to guests of an architecture, `static` unless stated here. */
const fullExpansion: ReadonlySet<string> = new Set(['aarch64', 'armv7l', 'armv6l', 'riscv64', 'loongarch64'])

/** The arguments of the expansions to ask for, the first of them the model itself, the second what a migration cannot carry. */
export function hostCpuQuestions(arch: string, model: 'host' | 'max'): readonly object[] {
  const type = fullExpansion.has(arch) ? 'full' : 'static'
  const plain = { type, model: { name: model } }
  return isX86(arch) ? [plain, { type, model: { name: model, props: { migratable: false } } }] : [plain]
}

/** The arguments of every expansion that a probe asks for: those of the CPU model, and the full one where only it names deprecated features. */
export function cpuQuestions(
  arch: string,
  { model, schema }: { readonly model: 'host' | 'max'; readonly schema: SchemaPaths | null },
): readonly object[] {
  const asked = hostCpuQuestions(arch, model)
  const isNamedInFull = !fullExpansion.has(arch) && !isX86(arch) && schema?.has(deprecatedProps) === true
  return isNamedInFull ? [...asked, { type: 'full', model: { name: model } }] : asked
}

/** The arguments of the expansions that name Hyper-V enlightenments, for architectures that have them or used to be asked. */
export function hypervQuestions(arch: string): readonly object[] {
  return isX86(arch) || arch === 'aarch64' || arch === 'armv7l' ? [hypervQuestion] : []
}

/** The arguments that make the emulator name the Hyper-V enlightenments of the host. */
export const hypervQuestion = {
  type: 'full',
  model: { name: 'host', props: { migratable: false, 'hv-passthrough': true } },
} as const

/** The host's CPU model as one section of a conversation has it; null where it was not asked or refused. */
export function deriveHostCpu(
  conversation: ProbeConversation,
  { section, arch, model }: { readonly section: number; readonly arch: string; readonly model: 'host' | 'max' },
): HostCpuDocument | null {
  const [plain, all] = hostCpuQuestions(arch, model).map((args) => expanded(conversation, section, args))
  const found = plain ?? expandedEitherWay(conversation, section, model)
  if (found === null || found === undefined) return null
  const beyond = all?.model.props
  const properties = Object.entries(found.model.props).flatMap(([name, value]) =>
    readProperty(name, { value, beyond: beyond?.[name], isCompared: beyond !== undefined }),
  )
  const deprecated = deprecatedProperties(conversation, { section, model }) ?? found['deprecated-props']
  return { model: found.model.name, migratability: beyond !== undefined, properties, deprecatedFeatures: deprecated }
}

/** On x86 what is asked depends on nothing but that. */
export function isX86(arch: string): boolean {
  return arch === 'x86_64' || arch === 'i686'
}

function expanded(conversation: ProbeConversation, section: number, args: object): Expansion | null {
  const value = conversation.value(section, { command, args })
  return value === undefined ? null : parseQmpValue(value, { shape: expansion, of: command })
}

/** Recordings of other daemons ask architectures in their own way: either expansion will do. */
function expandedEitherWay(conversation: ProbeConversation, section: number, model: string): Expansion | null {
  const asked = ['static', 'full'].map((type) => expanded(conversation, section, { type, model: { name: model } }))
  return asked.find((each) => each !== null) ?? null
}

/** s390x names deprecated features only in the full expansion. */
function deprecatedProperties(
  conversation: ProbeConversation,
  { section, model }: { readonly section: number; readonly model: string },
): readonly string[] | undefined {
  return expanded(conversation, section, { type: 'full', model: { name: model } })?.['deprecated-props']
}

function readProperty(
  name: string,
  { value, beyond, isCompared }: { readonly value: unknown; readonly beyond: unknown; readonly isCompared: boolean },
): readonly CpuProperty[] {
  const read = v.safeParse(propertyValue, value)
  if (!read.success) return [] // a list or an object is no feature
  if (typeof read.output === 'number') return [{ name, value: BigInt(Math.trunc(read.output)), migratable: null }]
  if (typeof read.output !== 'boolean' || !isCompared) return [{ name, value: read.output, migratable: null }]
  // On without migration only: the guest may have it, but it binds the guest to this host.
  if (!read.output && beyond === true) return [{ name, value: true, migratable: false }]
  return [{ name, value: read.output, migratable: read.output && beyond === true ? true : null }]
}
