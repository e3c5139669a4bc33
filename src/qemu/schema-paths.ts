import * as v from 'valibot'
import { parseQmpValue } from './qmp-message.ts'

const named = v.object({ name: v.string(), features: v.optional(v.array(v.string())) })
const member = v.object({ ...named.entries, name: v.optional(v.string()), type: v.optional(v.string()) })
const entryShape = v.object({
  name: v.string(),
  'meta-type': v.string(),
  'arg-type': v.optional(v.string()),
  'ret-type': v.optional(v.string()),
  'element-type': v.optional(v.string()),
  members: v.optional(v.array(member)),
  variants: v.optional(v.array(v.object({ case: v.string(), type: v.string() }))),
  values: v.optional(v.array(v.string())),
  features: v.optional(v.array(v.string())),
})
const reply = v.array(entryShape)

type Entry = v.InferOutput<typeof entryShape>

/**
 * The answer to query-qmp-schema, asked by path: `COMMAND` or `EVENT`, then `arg-type` or `ret-type`, then one step a part: `name` a
 * member, `+name` a variant, `^name` a value of an enumeration, `$name` a feature. Arrays and alternates are looked through.
 */
export class SchemaPaths {
  readonly #entries: ReadonlyMap<string, Entry>

  /** Throws Fault where the answer is no schema. */
  constructor(value: unknown) {
    const entries = parseQmpValue(value, { shape: reply, of: 'query-qmp-schema' })
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]))
  }

  /** Whether the schema has the path. */
  has(path: string): boolean {
    const [name = '', ...steps] = path.split('/')
    const root = this.#entries.get(name)
    if (root === undefined || (root['meta-type'] !== 'command' && root['meta-type'] !== 'event')) return false
    const [side, ...rest] = steps
    if (side === undefined) return true
    if (side.startsWith('$')) return rest.length === 0 && hasFeature(root, side.slice(1))
    const type = side === 'arg-type' ? root['arg-type'] : side === 'ret-type' ? root['ret-type'] : undefined
    return type !== undefined && this.#walk(type, rest)
  }

  #walk(type: string, steps: readonly string[]): boolean {
    const entry = this.#entries.get(type)
    if (entry === undefined) return false
    const [step, ...rest] = steps
    if (step === undefined) return true
    switch (entry['meta-type']) {
      case 'array':
        return this.#walk(entry['element-type'] ?? '', steps)
      case 'alternate':
        return (entry.members ?? []).some((each) => this.#walk(each.type ?? '', steps))
      case 'enum':
        return step.startsWith('^') && rest.length === 0 && valuesOf(entry).includes(step.slice(1))
      default:
        return this.#walkObject(entry, { step, rest })
    }
  }

  #walkObject(entry: Entry, { step, rest }: { readonly step: string; readonly rest: readonly string[] }): boolean {
    if (step.startsWith('$')) return rest.length === 0 && hasFeature(entry, step.slice(1))
    if (step.startsWith('+')) {
      const variant = entry.variants?.find((each) => each.case === step.slice(1))
      return variant !== undefined && this.#walk(variant.type, rest)
    }
    const found = entry.members?.find((each) => each.name === step)
    if (found === undefined) return false
    const [next, ...others] = rest
    if (next?.startsWith('$') === true && others.length === 0 && hasFeature(found, next.slice(1))) return true
    return rest.length === 0 || this.#walk(found.type ?? '', rest)
  }
}

function hasFeature({ features = [] }: { readonly features?: readonly string[] | undefined }, name: string): boolean {
  return features.includes(name)
}

// Before QEMU 6.2 an enumeration listed its values by name alone.
function valuesOf(entry: Entry): readonly string[] {
  return entry.members?.flatMap(({ name }) => name ?? []) ?? entry.values ?? []
}
