import * as v from 'valibot'
import { cpuQuestions, hypervQuestions } from './derive-host-cpu.ts'
import { archNames } from './arch-names.ts'
import { deviceTypes, machineNames, machineTypes, plainTypes } from './probe-questions.ts'
import { QmpError } from './qmp-error.ts'
import { parseQmpValue } from './qmp-message.ts'
import { SchemaPaths } from './schema-paths.ts'

/** Asks one question of an emulator; questions may be asked before earlier ones are answered. Throws QmpError where the emulator refuses it. */
export type AskEmulator = (command: string, args?: object) => Promise<unknown>

/** What the first section of an interview tells of whether there is a second, and what it asks. */
export interface FirstSection {
  readonly arch: string
  /** As the emulator says when asked, for example `7.2.22`. */
  readonly version: string
  /** An accelerator works and translation is built in: translation is asked about by a section of its own. */
  readonly needsTranslation: boolean
  readonly schema: SchemaPaths
}

const number = v.number()
const versionReply = v.object({ qemu: v.object({ major: number, minor: number, micro: number }) })
const targetReply = v.object({ arch: v.string() })
const kvmReply = v.object({ enabled: v.boolean(), present: v.boolean() })
const names = v.array(v.object({ name: v.string() }))
const machinesReply = v.array(v.object({ name: v.string(), alias: v.optional(v.string()) }))

const expansion = 'query-cpu-model-expansion'

/** Who hears what an interview finds out on its way. */
export interface InterviewListener {
  /** The architecture, long before the schema. */
  onTarget?(arch: string): void
  /** There is to be a second section, and all that it depends on is known. */
  onKnown?(section: FirstSection): void
}

/**
 * Asks an emulator, started with `-machine none`, everything that its capability document and the flag tables look at; the questions follow from
 * those tables. What does not depend on an answer is asked in one go, so that nobody waits for the other. A type's properties are asked only where the type exists, a command only where the schema has it. The answers are judged by
 * nobody here: they are recorded, and the document is derived from the recording. A second section need not wait for the end: the listener hears of it.
 */
export async function interviewEmulator(ask: AskEmulator, listener: InterviewListener = {}): Promise<FirstSection> {
  const askTarget = async (): Promise<string> => {
    const target = parseQmpValue(await ask('query-target'), { shape: targetReply, of: 'query-target' })
    const named = archNames[target.arch] ?? target.arch
    listener.onTarget?.(named)
    return named
  }
  const [versionValue, arch, schemaValue] = await Promise.all([
    ask('query-version'),
    askTarget(),
    ask('query-qmp-schema'),
  ])
  const { qemu } = parseQmpValue(versionValue, { shape: versionReply, of: 'query-version' })
  const schema = SchemaPaths.of(schemaValue)
  const [kvmValue, typesValue] = await Promise.all([askWhereKnown(ask, schema, 'query-kvm'), ask('qom-list-types')])
  const kvm = parseQmpValue(kvmValue, {
    shape: v.optional(kvmReply, { enabled: false, present: false }),
    of: 'query-kvm',
  })
  const types = new Set(parseQmpValue(typesValue, { shape: names, of: 'qom-list-types' }).map(({ name }) => name))
  const has = (type: string): boolean => types.has(type)
  const version = `${qemu.major}.${qemu.minor}.${qemu.micro}`
  const needsTranslation = kvm.enabled && kvm.present && types.has('tcg-accel')
  const section: FirstSection = { arch, version, schema, needsTranslation }
  if (needsTranslation) listener.onKnown?.(section)
  const replies = await Promise.all([
    ...deviceTypes.filter(has).map(async (typename) => await askOptional(ask, 'device-list-properties', { typename })),
    ...plainTypes.filter(has).map(async (typename) => await askOptional(ask, 'qom-list-properties', { typename })),
    ask('query-machines'),
  ])
  const machines = machineTypesOf(replies.at(-1)).filter(has)
  const plain = ['query-cpu-definitions', 'query-tpm-models', 'query-tpm-types', 'query-command-line-options']
  const perArch = ['query-gic-capabilities', 'query-sev-capabilities', 'query-sgx-capabilities']
  const known = [...plain, 'query-migrate-capabilities', ...perArch].filter((command) => schema.has(command))
  const expansions = schema.has(expansion)
    ? [...cpuQuestions(arch, { model: 'host', schema }), ...hypervQuestions(arch)]
    : []
  await Promise.all([
    ...machines.map(async (typename) => await askOptional(ask, 'qom-list-properties', { typename })),
    ...known.map(async (command) => await askOptional(ask, command)),
    ...expansions.map(async (question) => await askOptional(ask, expansion, question)),
  ])
  return section
}

/**
 * Asks the emulator, started anew without an accelerator, what differs there. While the schema is not known (null), commands that every
 * emulator has had for years are taken to be there: where one is not, the refusal is recorded.
 */
export async function interviewTranslation(
  ask: AskEmulator,
  { arch, schema }: { readonly arch: string; readonly schema: SchemaPaths | null },
): Promise<void> {
  const has = (command: string): boolean => schema === null || schema.has(command)
  const expansions = has(expansion) ? cpuQuestions(arch, { model: 'max', schema }) : []
  await Promise.all([
    ...(has('query-cpu-definitions') ? [askOptional(ask, 'query-cpu-definitions')] : []),
    ...expansions.map(async (question) => await askOptional(ask, expansion, question)),
    ask('query-machines'),
  ])
}

/** The types of the machines that some flag looks at. */
function machineTypesOf(reply: unknown): readonly string[] {
  const machines = parseQmpValue(reply, { shape: machinesReply, of: 'query-machines' })
  const named = machineNames.flatMap(
    (wanted) => machines.find(({ name, alias }) => name === wanted || alias === wanted)?.name ?? [],
  )
  return [...new Set([...named.map((name) => `${name}-machine`), ...machineTypes])]
}

async function askWhereKnown(ask: AskEmulator, schema: SchemaPaths, command: string): Promise<unknown> {
  return schema.has(command) ? await askOptional(ask, command) : undefined
}

/** A refusal is an answer too: an abstract type, a module that is not installed, a host without the feature. */
async function askOptional(ask: AskEmulator, command: string, args: object = {}): Promise<unknown> {
  try {
    return await ask(command, args)
  } catch (error) {
    if (error instanceof QmpError) return undefined
    throw error
  }
}
