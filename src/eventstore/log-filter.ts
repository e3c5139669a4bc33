/** Names that begin with one of some prefixes, or that match a pattern. */
export type NameFilter = { readonly prefixes: readonly string[] } | { readonly pattern: RegExp }

/** Which events of the log are wanted, by the names of their streams and types; where both are given, both must match. */
export interface LogFilter {
  readonly streams?: NameFilter
  readonly types?: NameFilter
}

/** Whether a name passes; any does where there is no filter. */
export function passesName(filter: NameFilter | undefined, name: string): boolean {
  if (filter === undefined) return true
  if ('prefixes' in filter) return filter.prefixes.some((prefix) => name.startsWith(prefix))
  filter.pattern.lastIndex = 0 // a pattern with the flag g or y would go on where it left off
  return filter.pattern.test(name)
}

/** Whether an event passes. */
export function passesFilter(
  filter: LogFilter | undefined,
  event: { readonly stream: string; readonly type: string },
): boolean {
  return filter === undefined || (passesName(filter.types, event.type) && passesName(filter.streams, event.stream))
}
