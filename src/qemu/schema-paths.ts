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
/** Entries have other members besides; a reply has a thousand of them, of which some dozens are ever looked at, and those are then read. */
const reply = v.array(
  v.custom<{ readonly name: string }>(
    (entry) => typeof entry === 'object' && entry !== null && 'name' in entry && typeof entry.name === 'string',
  ),
)
const command = 'query-qmp-schema'
const read = new WeakMap<object, SchemaPaths>()

type Entry = v.InferOutput<typeof entryShape>

/**
 * The answer to query-qmp-schema, asked by path: `COMMAND` or `EVENT`, then `arg-type` or `ret-type`, then one step a part: `name` a
 * member, `+name` a variant, `^name` a value of an enumeration, `$name` a feature. Arrays and alternates are looked through.
 */
export class SchemaPaths {
  readonly #unread: ReadonlyMap<string, unknown>
  readonly #entries = new Map<string, Entry>()

  /** The paths of an answer, read once however often they are asked for. Throws Fault where the answer is no schema. */
  static of(value: unknown): SchemaPaths {
    if (typeof value !== 'object' || value === null) return new SchemaPaths(value)
    const known = read.get(value)
    if (known !== undefined) return known
    const paths = new SchemaPaths(value)
    read.set(value, paths)
    return paths
  }

  private constructor(value: unknown) {
    const entries = parseQmpValue(value, { shape: reply, of: command })
    this.#unread = new Map(entries.map((entry) => [entry.name, entry]))
  }

  /** Whether the schema has the path. Throws Fault where an entry on it cannot be read. */
  has(path: string): boolean {
    const [name = '', ...steps] = path.split('/')
    const root = this.#entry(name)
    if (root === undefined || (root['meta-type'] !== 'command' && root['meta-type'] !== 'event')) return false
    const [side, ...rest] = steps
    if (side === undefined) return true
    if (side.startsWith('$')) return rest.length === 0 && hasFeature(root, side.slice(1))
    const type = side === 'arg-type' ? root['arg-type'] : side === 'ret-type' ? root['ret-type'] : undefined
    return type !== undefined && this.#walk(type, rest)
  }

  #entry(name: string): Entry | undefined {
    const known = this.#entries.get(name)
    if (known !== undefined || !this.#unread.has(name)) return known
    const entry = parseQmpValue(this.#unread.get(name), { shape: entryShape, of: command })
    this.#entries.set(name, entry)
    return entry
  }

  #walk(type: string, steps: readonly string[]): boolean {
    const entry = this.#entry(type)
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
