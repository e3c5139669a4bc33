import { DefinitionError } from './definition-error.ts'
import { type Kept, keptOf } from './kept.ts'
import { isBlank, textOf, type XmlAttribute, type XmlElement, type XmlNode } from './xml-node.ts'

/** An element while it is being written. */
export interface ElementDraft {
  readonly attributes: XmlAttribute[]
  readonly children: XmlNode[]
}

/** One thing an element may hold (an attribute, its text, a child), with its name in both directions. */
export interface Part<T> {
  /** Attributes and child elements that this part owns; what no part owns is kept verbatim. */
  readonly attributes: readonly string[]
  readonly elements: readonly string[]
  /** Owns the text of the element. */
  readonly ownsText?: true
  read(element: XmlElement, path: string): T
  write(value: T, draft: ElementDraft): void
  /** Adds the paths of everything below that was kept without being understood. */
  listKept?(value: T, path: string, into: string[]): void
}

/** A part that may be missing; its key is optional in the value. */
export interface OptionalPart<T> extends Part<T | undefined> {
  readonly optional: true
}

/** The parts of an element, in canonical order of attributes and of children. */
export type Shape = Readonly<Record<string, Part<unknown>>>

/** One element, both ways. */
export interface ElementCodec<T> {
  readonly name: string
  read(element: XmlElement, path: string): T
  write(value: T): XmlElement
  listKept(value: T, path: string, into: string[]): void
}

/** The value that a codec reads and writes. */
export type Parsed<C> = C extends ElementCodec<infer T> ? T : never

type PartValue<P> = P extends Part<infer T> ? T : never
type OptionalKeys<S> = { [K in keyof S]: S[K] extends OptionalPart<unknown> ? K : never }[keyof S]
type Flat<T> = { [K in keyof T]: T[K] }

/** The value of a shape: optional parts have optional keys; `kept` holds what no part owned. */
export type ShapeValue<S> = Flat<
  { readonly [K in Exclude<keyof S, OptionalKeys<S>>]: PartValue<S[K]> } & {
    readonly [K in OptionalKeys<S>]?: PartValue<S[K]> | undefined
  } & { readonly kept?: Kept | undefined }
>

/**
 * Declares an element: the declaration is the TypeScript type, the parser, the printer and the error texts.
 *
 * ```ts
 * export const rate = element('rate', { bytes: attribute('bytes', unsignedInt), periodMs: optional(attribute('period', unsignedInt)) })
 * export type Rate = Parsed<typeof rate>
 * ```
 */
export function element<const S extends Shape>(name: string, shape: S): ElementCodec<ShapeValue<S>>
export function element(name: string, shape: Shape): ElementCodec<Record<string, unknown>> {
  const parts = Object.entries(shape)
  const known = {
    attributes: new Set(parts.flatMap(([, part]) => part.attributes)),
    elements: new Set(parts.flatMap(([, part]) => part.elements)),
  }
  const ownsText = parts.some(([, part]) => part.ownsText === true)
  return {
    name,
    read(source, path) {
      if (!ownsText) refuseText(source, path)
      const value: Record<string, unknown> = {}
      for (const [key, part] of parts) {
        const read = part.read(source, path)
        if (read !== undefined) value[key] = read
      }
      const kept = keptOf(source, known)
      if (kept !== undefined) value['kept'] = kept
      return value
    },
    write(value) {
      const draft: ElementDraft = { attributes: [], children: [] }
      for (const [key, part] of parts) part.write(value[key], draft)
      if (isKept(value['kept'])) {
        // One by one: spread into a call, a flood of unknown elements would overflow the stack.
        for (const attribute of value['kept'].attributes) draft.attributes.push(attribute)
        for (const child of value['kept'].elements) draft.children.push(child)
      }
      return { kind: 'element', name, ...draft }
    },
    listKept(value, path, into) {
      for (const [key, part] of parts) part.listKept?.(value[key], path, into)
      if (!isKept(value['kept'])) return
      for (const { name: attribute } of value['kept'].attributes) into.push(`${path}/@${attribute}`)
      for (const { name: child } of value['kept'].elements) into.push(`${path}/${child}`)
    },
  }
}

function isKept(value: unknown): value is Kept {
  return typeof value === 'object' && value !== null
}

function refuseText(source: XmlElement, path: string): void {
  for (const node of source.children) {
    if (node.kind !== 'text' && node.kind !== 'cdata') continue
    if (isBlank(node.text)) continue
    throw new DefinitionError({
      element: path,
      rule: 'no-text',
      message: `Cannot read ${path}: it holds the text "${textOf(source).trim().slice(0, 80)}", only elements are allowed there`,
    })
  }
}

/** The value of an element whose shape depends on one of its attributes. */
export type TaggedValue<Tag extends string, V> = {
  [K in keyof V]: Flat<{ readonly [P in Tag]: K } & ShapeValue<V[K]>>
}[keyof V]

/**
 * Declares an element whose attribute `tag` chooses its shape, as `type` does for `<address>`: the value is a union tagged
 * by that attribute.
 */
export function taggedElement<const Tag extends string, const V extends Readonly<Record<string, Shape>>>(
  name: string,
  tag: Tag,
  variants: V,
): ElementCodec<TaggedValue<Tag, V>>
export function taggedElement(
  name: string,
  tag: string,
  variants: Readonly<Record<string, Shape>>,
): ElementCodec<Record<string, unknown>> {
  const codecs = new Map<string, ElementCodec<Record<string, unknown>>>()
  for (const [word, shape] of Object.entries(variants)) {
    codecs.set(word, element<Shape>(name, { [tag]: fixedAttribute(tag, word), ...shape }))
  }
  const codecFor = (word: unknown, path: string): ElementCodec<Record<string, unknown>> => {
    const codec = typeof word === 'string' ? codecs.get(word) : undefined
    if (codec !== undefined) return codec
    const words = [...codecs.keys()].join(', ')
    const is = typeof word === 'string' ? `"${word}"` : 'missing'
    const message = `Cannot read ${path}: attribute "${tag}" is ${is}, it must be one of ${words}`
    throw new DefinitionError({ element: path, rule: word === undefined ? 'required' : 'one-of', message })
  }
  return {
    name,
    read(source, path) {
      const word = source.attributes.find((attribute) => attribute.name === tag)?.value
      return codecFor(word, path).read(source, path)
    },
    write: (value) => codecFor(value[tag], name).write(value),
    listKept: (value, path, into) => codecFor(value[tag], path).listKept(value, path, into),
  }
}

function fixedAttribute(name: string, word: string): Part<string> {
  return {
    attributes: [name],
    elements: [],
    read: () => word,
    write: (_value, draft) => draft.attributes.push({ name, value: word }),
  }
}
