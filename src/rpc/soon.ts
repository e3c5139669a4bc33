/** A value that is there, or will be. */
export type Soon<T> = T | Promise<T>

/** Goes on with a value without giving up the turn when it is there already: most replies come from memory. */
export function soon<T, R>(value: Soon<T>, use: (value: T) => Soon<R>): Soon<R> {
  return value instanceof Promise ? value.then(use) : use(value)
}
