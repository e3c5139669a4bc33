import * as v from 'valibot'
import type { Accelerator } from '../conf/emulator-document.ts'
import type { FlagFact } from './flag-fact.ts'
import type { ProbeConversation } from './probe-conversation.ts'
import { parseQmpValue } from './qmp-message.ts'
import { SchemaPaths } from './schema-paths.ts'

const names = v.array(v.object({ name: v.string() }))
const properties = v.array(v.object({ name: v.string(), 'default-value': v.optional(v.unknown()) }))
const options = v.array(v.object({ option: v.string(), parameters: names }))
const capabilities = v.array(v.object({ capability: v.string() }))
const texts = v.array(v.string())

/** What is known of an emulator before its flags are judged. */
export interface EvidenceBase {
  readonly arch: string
  readonly version: number
  readonly accelerators: ReadonlySet<Accelerator>
  /** QOM types of machines by the name and the alias of the machine. */
  readonly machineTypes: ReadonlyMap<string, string>
  readonly cpuModels: ReadonlySet<string>
  readonly hasSev: boolean
  readonly hasSgx: boolean
}

/** Judges the facts of flags by the first section of a conversation. */
export class FlagEvidence {
  readonly #base: EvidenceBase
  readonly #conversation: ProbeConversation
  readonly #schema: SchemaPaths
  readonly #types: ReadonlySet<string>
  readonly #options: ReadonlyMap<string, ReadonlySet<string>>
  readonly #migration: ReadonlySet<string>
  readonly #tpmModels: ReadonlySet<string>
  readonly #tpmTypes: ReadonlySet<string>
  readonly #ofDevices = new Map<string, readonly v.InferOutput<typeof properties>[number][]>()
  readonly #ofObjects = new Map<string, ReadonlySet<string>>()

  /** Throws Fault where an answer cannot be read. */
  constructor(conversation: ProbeConversation, base: EvidenceBase) {
    this.#conversation = conversation
    this.#base = base
    this.#schema = SchemaPaths.of(conversation.value(0, { command: 'query-qmp-schema' }) ?? [])
    this.#types = new Set(this.#read('qom-list-types', names).map(({ name }) => name))
    const listed = this.#read('query-command-line-options', options)
    this.#options = new Map(listed.map((each) => [each.option, new Set(each.parameters.map(({ name }) => name))]))
    this.#migration = new Set(this.#read('query-migrate-capabilities', capabilities).map((each) => each.capability))
    this.#tpmModels = new Set(this.#read('query-tpm-models', texts))
    this.#tpmTypes = new Set(this.#read('query-tpm-types', texts))
  }

  /** Whether the fact holds. */
  holds(fact: FlagFact): boolean {
    switch (fact.kind) {
      case 'qomType':
        return this.#types.has(fact.type)
      case 'property':
        return this.#deviceProperties(fact.type).some(({ name }) => name === fact.property)
      case 'disabledByDefault':
        return this.#deviceProperties(fact.type).some(
          (each) => each.name === fact.property && each['default-value'] === false,
        )
      case 'objectProperty':
        return this.#objectProperties(fact.type).has(fact.property)
      case 'machineProperty':
        return this.#objectProperties(this.#base.machineTypes.get(fact.machine) ?? '').has(fact.property)
      case 'schema':
        return this.#schema.has(fact.path)
      case 'option': {
        const parameters = this.#options.get(fact.option)
        return parameters !== undefined && (fact.parameter === null || parameters.has(fact.parameter))
      }
      case 'migrationCapability':
        return this.#migration.has(fact.capability)
      case 'tpmModel':
        return this.#tpmModels.has(fact.model)
      case 'tpmType':
        return this.#tpmTypes.has(fact.type)
      case 'cpuModel':
        return this.#base.cpuModels.has(fact.model)
      case 'accelerator':
        return this.#base.accelerators.has(fact.accelerator)
      case 'sevType':
        return this.#base.hasSev && this.#types.has(fact.type)
      case 'sgx':
        return this.#base.hasSgx
      case 'architecture':
        return fact.anyOf.includes(this.#base.arch)
      case 'version':
        return this.#base.version >= fact.atLeast && this.#base.version < fact.below
    }
  }

  #deviceProperties(typename: string): readonly v.InferOutput<typeof properties>[number][] {
    // Dozens of flags look at the same devices.
    const known = this.#ofDevices.get(typename)
    if (known !== undefined) return known
    const found = this.#read('device-list-properties', properties, { typename })
    this.#ofDevices.set(typename, found)
    return found
  }

  #objectProperties(typename: string): ReadonlySet<string> {
    const known = this.#ofObjects.get(typename)
    if (known !== undefined) return known
    const found = new Set(this.#read('qom-list-properties', names, { typename }).map(({ name }) => name))
    this.#ofObjects.set(typename, found)
    return found
  }

  /** What was answered; nothing where it was not asked or refused. */
  #read<Item>(command: string, shape: v.GenericSchema<unknown, Item[]>, args: object = {}): readonly Item[] {
    const value = this.#conversation.value(0, { command, args })
    return value === undefined ? [] : parseQmpValue(value, { shape, of: command })
  }
}
