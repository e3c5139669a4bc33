/**
 * The same object with some of its methods replaced. Everything else is called on the original, so that classes with
 * private fields go on working.
 */
export function override<Part extends object>(part: Part, changes: Partial<Part>): Part {
  return new Proxy(part, {
    get(target, key) {
      const source = Object.hasOwn(changes, key) ? changes : target
      const value: unknown = Reflect.get(source, key, source)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => Reflect.apply(value, source, args)
    },
  })
}
