import * as v from 'valibot'
import { cpuQuestions, hypervQuestions } from './derive-host-cpu.ts'
import { archNames } from './arch-names.ts'
import { deviceTypes, machineNames, machineTypes, plainTypes } from './probe-questions.ts'
import { QmpError } from './qmp-error.ts'
import { parseQmpValue } from './qmp-message.ts'
import { SchemaPaths } from './schema-paths.ts'

/** Asks one question of an emulator. Throws QmpError where the emulator refuses it. */
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

/**
 * Asks an emulator, started with `-machine none`, everything that its capability document and the flag tables look at; the questions follow from
 * those tables. A type's properties are asked only where the type exists, a command only where the schema has it. The answers are judged by
 * nobody here: they are recorded, and the document is derived from the recording.
 */
export async function interviewEmulator(ask: AskEmulator): Promise<FirstSection> {
  const { qemu } = parseQmpValue(await ask('query-version'), { shape: versionReply, of: 'query-version' })
  const target = parseQmpValue(await ask('query-target'), { shape: targetReply, of: 'query-target' })
  const arch = archNames[target.arch] ?? target.arch
  const schema = new SchemaPaths(await ask('query-qmp-schema'))
  const kvm = parseQmpValue(await askWhereKnown(ask, schema, 'query-kvm'), {
    shape: v.optional(kvmReply, { enabled: false, present: false }),
    of: 'query-kvm',
  })
  const types = new Set(
    parseQmpValue(await ask('qom-list-types'), { shape: names, of: 'qom-list-types' }).map(({ name }) => name),
  )
  for (const typename of deviceTypes.filter((type) => types.has(type)))
    await askOptional(ask, 'device-list-properties', { typename })
  for (const typename of plainTypes.filter((type) => types.has(type)))
    await askOptional(ask, 'qom-list-properties', { typename })
  await askMachines(ask, types)
  const plain = ['query-cpu-definitions', 'query-tpm-models', 'query-tpm-types', 'query-command-line-options']
  const perArch = ['query-gic-capabilities', 'query-sev-capabilities', 'query-sgx-capabilities']
  for (const command of [...plain, 'query-migrate-capabilities', ...perArch]) await askWhereKnown(ask, schema, command)
  if (schema.has(expansion)) {
    const questions = [...cpuQuestions(arch, { model: 'host', schema }), ...hypervQuestions(arch)]
    for (const question of questions) await askOptional(ask, expansion, question)
  }
  const version = `${qemu.major}.${qemu.minor}.${qemu.micro}`
  return { arch, version, schema, needsTranslation: kvm.enabled && kvm.present && types.has('tcg-accel') }
}

/** Asks the emulator, started anew without an accelerator, what differs there. */
export async function interviewTranslation(ask: AskEmulator, { arch, schema }: FirstSection): Promise<void> {
  await askWhereKnown(ask, schema, 'query-cpu-definitions')
  if (schema.has(expansion))
    for (const question of cpuQuestions(arch, { model: 'max', schema })) await askOptional(ask, expansion, question)
  await ask('query-machines')
}

async function askMachines(ask: AskEmulator, types: ReadonlySet<string>): Promise<void> {
  const machines = parseQmpValue(await ask('query-machines'), { shape: machinesReply, of: 'query-machines' })
  const named = machineNames.flatMap(
    (wanted) => machines.find(({ name, alias }) => name === wanted || alias === wanted)?.name ?? [],
  )
  const wanted = new Set([...named.map((name) => `${name}-machine`), ...machineTypes])
  for (const typename of wanted) if (types.has(typename)) await askOptional(ask, 'qom-list-properties', { typename })
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
