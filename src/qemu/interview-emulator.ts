import * as v from 'valibot'
import type { CpuModel, EmulatorProbe, MachineType, VirtType } from '../driver/emulator-probe.ts'
import { type FlagFact, flagRules } from './flag-rules.ts'
import type { AskEmulator } from './probe-recording.ts'
import { QmpError } from './qmp-error.ts'
import { parseQmpValue } from './qmp-message.ts'

/** What an emulator says of itself: a probe without where, by whom and from which file. */
export type EmulatorAnswers = Omit<EmulatorProbe, 'binary' | 'facts' | 'conversation'>

const unsigned = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const names = v.array(v.object({ name: v.string() }))

const versionReply = v.object({
  qemu: v.object({ major: unsigned, minor: unsigned, micro: unsigned }),
  package: v.string(),
})
const targetReply = v.object({ arch: v.string() })
const kvmReply = v.object({ enabled: v.boolean(), present: v.boolean() })
const machinesReply = v.array(
  v.object({
    name: v.string(),
    alias: v.optional(v.string()),
    'is-default': v.optional(v.boolean()),
    'cpu-max': unsigned,
  }),
)
const cpusReply = v.array(v.object({ name: v.string(), 'unavailable-features': v.optional(v.array(v.string())) }))
const optionsReply = v.array(v.object({ option: v.string(), parameters: names }))
const schemaReply = v.array(
  v.object({
    name: v.string(),
    'meta-type': v.string(),
    'arg-type': v.optional(v.string()),
    members: v.optional(v.array(v.object({ name: v.optional(v.string()) }))),
  }),
)

/** Everything that flag rules look at. */
interface Evidence {
  readonly version: number
  readonly types: ReadonlySet<string>
  /** Properties by type; only types that some rule asks for. */
  readonly properties: ReadonlyMap<string, ReadonlySet<string>>
  readonly commands: ReadonlyMap<string, ReadonlySet<string>>
  readonly events: ReadonlySet<string>
  readonly options: ReadonlyMap<string, ReadonlySet<string>>
}

/** QEMU's name of an architecture where libvirt's is another. */
const archNames: Readonly<Record<string, string>> = { i386: 'i686', arm: 'armv7l', or32: 'or1k' }

/**
 * Asks an emulator, started with `-machine none`, what it can do. The questions and their order are those of a recording; a type's properties
 * are asked only where the type exists. Pure but for `ask`, so that a recording gives the same answers as the emulator did.
 */
export async function interviewEmulator(ask: AskEmulator): Promise<EmulatorAnswers> {
  const versionSeen = parseQmpValue(await ask('query-version'), { shape: versionReply, of: 'query-version' })
  const { major, minor, micro } = versionSeen.qemu
  const version = major * 1_000_000 + minor * 1_000 + micro
  const target = parseQmpValue(await ask('query-target'), { shape: targetReply, of: 'query-target' })
  const schema = readSchema(await ask('query-qmp-schema'))
  const kvm = parseQmpValue(await ask('query-kvm'), { shape: kvmReply, of: 'query-kvm' })
  const types = await askNames(ask, 'qom-list-types')
  const properties = await askProperties(ask, types)
  const machines = readMachines(await ask('query-machines'), target.arch)
  const cpuModels = schema.commands.has('query-cpu-definitions')
    ? readCpuModels(await ask('query-cpu-definitions'))
    : []
  const options = readOptions(await ask('query-command-line-options'))
  const evidence: Evidence = { version, types, properties, options, ...schema }
  const flags = flagRules.filter(({ fact }) => holds(fact, evidence)).map(({ flag }) => flag)
  return {
    arch: archNames[target.arch] ?? target.arch,
    version,
    package: versionSeen.package.replace(/^ \((.*)\)$/, '$1'),
    virtTypes: virtTypesOf(kvm.enabled, evidence),
    machines,
    cpuModels,
    flags: flags.toSorted(),
  }
}

// Before QEMU 6 the accelerator's type was not always listed; those binaries had TCG unless built without, which Debian never did.
function virtTypesOf(kvmEnabled: boolean, { types, version }: Evidence): readonly VirtType[] {
  const tcg = types.has('tcg-accel') || version < 6_000_000
  return [...(kvmEnabled ? (['kvm'] as const) : []), ...(tcg ? (['qemu'] as const) : [])]
}

async function askNames(ask: AskEmulator, command: string, args: object = {}): Promise<ReadonlySet<string>> {
  const listed = parseQmpValue(await ask(command, args), { shape: names, of: command })
  return new Set(listed.map(({ name }) => name))
}

async function askProperties(
  ask: AskEmulator,
  types: ReadonlySet<string>,
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const wanted = new Set(flagRules.flatMap(({ fact }) => (fact.kind === 'property' ? [fact.type] : [])))
  const properties = new Map<string, ReadonlySet<string>>()
  for (const typename of wanted) {
    if (!types.has(typename)) continue
    try {
      properties.set(typename, await askNames(ask, 'device-list-properties', { typename }))
    } catch (error) {
      // An abstract type or one whose module is not installed: it has no properties to use.
      if (!(error instanceof QmpError)) throw error
    }
  }
  return properties
}

function readSchema(value: unknown): Pick<Evidence, 'commands' | 'events'> {
  const entries = parseQmpValue(value, { shape: schemaReply, of: 'query-qmp-schema' })
  const members = new Map(entries.map((entry) => [entry.name, entry.members ?? []]))
  const commands = new Map<string, ReadonlySet<string>>()
  const events = new Set<string>()
  for (const entry of entries) {
    if (entry['meta-type'] === 'event') events.add(entry.name)
    if (entry['meta-type'] !== 'command') continue
    const args = members.get(entry['arg-type'] ?? '') ?? []
    commands.set(entry.name, new Set(args.flatMap(({ name }) => name ?? [])))
  }
  return { commands, events }
}

/** The machine that an architecture's guests get by habit; it stands first, whatever QEMU's own default is. */
const preferredMachines: Readonly<Record<string, string>> = {
  i386: 'pc',
  x86_64: 'pc',
  arm: 'virt',
  aarch64: 'virt',
  riscv32: 'virt',
  riscv64: 'virt',
  loongarch64: 'virt',
  ppc64: 'pseries',
  s390x: 's390-ccw-virtio',
}

function readMachines(value: unknown, arch: string): readonly MachineType[] {
  const reported = parseQmpValue(value, { shape: machinesReply, of: 'query-machines' })
  const preferred = preferredMachines[arch]
  const machines = reported
    .filter(({ name }) => name !== 'none')
    .map((machine): MachineType => {
      const { name, alias } = machine
      return { name, alias: alias ?? null, maxCpus: machine['cpu-max'], isDefault: machine['is-default'] ?? false }
    })
  const first =
    machines.find(({ name, alias }) => preferred !== undefined && (name === preferred || alias === preferred)) ??
    machines.find(({ isDefault }) => isDefault)
  return first === undefined
    ? machines
    : [
        { ...first, isDefault: true },
        ...machines.filter((machine) => machine !== first).map((machine) => ({ ...machine, isDefault: false })),
      ]
}

function readCpuModels(value: unknown): readonly CpuModel[] {
  const reported = parseQmpValue(value, { shape: cpusReply, of: 'query-cpu-definitions' })
  // Where QEMU does not say what is missing, nobody knows better.
  return reported.map((cpu) => ({ name: cpu.name, usable: (cpu['unavailable-features'] ?? []).length === 0 }))
}

function readOptions(value: unknown): Evidence['options'] {
  const reported = parseQmpValue(value, { shape: optionsReply, of: 'query-command-line-options' })
  return new Map(reported.map(({ option, parameters }) => [option, new Set(parameters.map(({ name }) => name))]))
}

function holds(fact: FlagFact, { types, properties, commands, events, options, version }: Evidence): boolean {
  switch (fact.kind) {
    case 'qomType':
      return types.has(fact.type)
    case 'property':
      return properties.get(fact.type)?.has(fact.property) ?? false
    case 'schemaCommand':
      return commands.has(fact.command)
    case 'schemaEvent':
      return events.has(fact.event)
    case 'schemaArgument':
      return commands.get(fact.command)?.has(fact.argument) ?? false
    case 'option':
      return fact.parameter === null
        ? options.has(fact.option)
        : (options.get(fact.option)?.has(fact.parameter) ?? false)
    case 'version':
      return version >= fact.atLeast
  }
}
