import { type ElementCodec, element, type OptionalPart, type Part } from './codec.ts'
import { DefinitionError } from './definition-error.ts'
import { keepElement } from './kept.ts'
import type { ValueCodec } from './value-codec.ts'
import { attributeOf, childrenOf, textOf, type XmlElement } from './xml-node.ts'

function refuse(path: string, rule: string, what: string): never {
  throw new DefinitionError({ element: path, rule, message: `Cannot read ${path}: ${what}` })
}

function parseValue<T>(
  codec: ValueCodec<T>,
  written: string,
  where: { readonly path: string; readonly what: string },
): T {
  const value = codec.parse(written)
  if (value !== undefined) return value
  return refuse(where.path, codec.rule, `${where.what} is "${written.slice(0, 200)}", it must be ${codec.wanted}`)
}

/** An attribute that must be there. */
export function attribute<T>(name: string, codec: ValueCodec<T>): Part<T> {
  return {
    attributes: [name],
    elements: [],
    read(element, path) {
      const written = attributeOf(element, name)
      if (written === undefined) return refuse(path, 'required', `attribute "${name}" is missing`)
      return parseValue(codec, written, { path, what: `attribute "${name}"` })
    },
    write(value, draft) {
      draft.attributes.push({ name, value: codec.print(value) })
    },
  }
}

/** The text of the element itself. */
export function text<T>(codec: ValueCodec<T>): Part<T> {
  return {
    attributes: [],
    elements: [],
    ownsText: true,
    read: (element, path) => parseValue(codec, textOf(element), { path, what: 'its text' }),
    write(value, draft) {
      const written = codec.print(value)
      if (written !== '') draft.children.push({ kind: 'text', text: written })
    },
  }
}

/** Makes a part optional: it is undefined when none of its attributes and elements is there, and then nothing is written. */
export function optional<T>(part: Part<T>): OptionalPart<T> {
  const [attributeName] = part.attributes
  return {
    ...part,
    optional: true,
    read(element, path) {
      const present =
        attributeName === undefined
          ? part.elements.some((name) => childrenOf(element, name).length > 0)
          : attributeOf(element, attributeName) !== undefined
      return present ? part.read(element, path) : undefined
    },
    write(value, draft) {
      if (value !== undefined) part.write(value, draft)
    },
    listKept(value, path, into) {
      if (value !== undefined) part.listKept?.(value, path, into)
    },
  }
}

/** A child element that must be there, once. */
export function child<T>(codec: ElementCodec<T>): Part<T> {
  return {
    attributes: [],
    elements: [codec.name],
    read(element, path) {
      const [first, second] = childrenOf(element, codec.name)
      if (first === undefined) return refuse(path, 'required', `element <${codec.name}> is missing`)
      if (second !== undefined) return refuse(`${path}/${codec.name}`, 'once', 'the element occurs twice')
      return codec.read(first, `${path}/${codec.name}`)
    },
    write(value, draft) {
      draft.children.push(codec.write(value))
    },
    listKept: (value, path, into) => codec.listKept(value, `${path}/${codec.name}`, into),
  }
}

/** Gives a part a value when it is missing; the value is always written. The types of literals are those of the part. */
export function withDefault<T>(part: Part<T>, fallback: NoInfer<T>): Part<T> {
  const inner = optional(part)
  return { ...part, read: (element, path) => inner.read(element, path) ?? fallback }
}

/** A child element that holds only text, read as that text's value. */
export function textChild<T>(name: string, codec: ValueCodec<T>): Part<T> {
  const inner = child(
    converted(element(name, { value: text(codec) }), {
      read: (read, path) => {
        if (read.kept !== undefined) refuse(path, 'only-text', 'it must hold nothing but text')
        return read.value
      },
      write: (value) => ({ value }),
    }),
  )
  return inner
}

/** More elements of one name than any machine has; bounds every pass over them. */
const maxRepeats = 2048

/** Child elements of one name, in document order; none is an empty list, and more than 2048 are refused. */
export function children<T>(codec: ElementCodec<T>): Part<readonly T[]> {
  return {
    attributes: [],
    elements: [codec.name],
    read(element, path) {
      const found = childrenOf(element, codec.name)
      if (found.length > maxRepeats) {
        refuse(`${path}/${codec.name}`, 'too-many', `there are ${found.length}, at most ${maxRepeats} are allowed`)
      }
      return found.map((one) => codec.read(one, `${path}/${codec.name}`))
    },
    write(value, draft) {
      for (const item of value) draft.children.push(codec.write(item))
    },
    listKept(value, path, into) {
      for (const item of value) codec.listKept(item, `${path}/${codec.name}`, into)
    },
  }
}

/** A child element without content whose presence is the value, as `<readonly/>`. */
export function flag(name: string): OptionalPart<true> {
  return {
    attributes: [],
    elements: [name],
    optional: true,
    read(element, path) {
      const [found] = childrenOf(element, name)
      if (found === undefined) return undefined
      if (found.attributes.length > 0 || childrenOf(found).length > 0) {
        refuse(`${path}/${name}`, 'empty', 'the element must be empty')
      }
      return true
    },
    write(value, draft) {
      if (value === true) draft.children.push({ kind: 'element', name, attributes: [], children: [] })
    },
  }
}

/** Child elements of these names, kept as they are but printed at this place; they count as not understood. */
export function verbatim(...names: readonly string[]): OptionalPart<readonly XmlElement[]> {
  return {
    attributes: [],
    elements: names,
    optional: true,
    read(element) {
      const kept: XmlElement[] = []
      for (const name of names) for (const found of childrenOf(element, name)) kept.push(keepElement(found))
      return kept.length === 0 ? undefined : kept
    },
    write(value, draft) {
      for (const found of value ?? []) draft.children.push(found)
    },
    listKept(value, path, into) {
      for (const found of value ?? []) into.push(`${path}/${found.name}`)
    },
  }
}

/** Breaks the cycle of an element that may contain itself, as `<backingStore>` does. */
export function deferred<T>(name: string, codec: () => ElementCodec<T>): ElementCodec<T> {
  return {
    name,
    read: (element, path) => codec().read(element, path),
    write: (value) => codec().write(value),
    listKept: (value, path, into) => codec().listKept(value, path, into),
  }
}

/** The same element with another value: `read` may refuse by throwing DefinitionError, naming the path it is given. */
export function converted<T, U>(
  codec: ElementCodec<T>,
  conversion: { read(value: T, path: string): U; write(value: U): T },
): ElementCodec<U> {
  return {
    name: codec.name,
    read: (element, path) => conversion.read(codec.read(element, path), path),
    write: (value) => codec.write(conversion.write(value)),
    listKept: (value, path, into) => codec.listKept(conversion.write(value), path, into),
  }
}
