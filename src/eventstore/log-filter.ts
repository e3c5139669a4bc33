/** A regular expression over names: a RegExp, or what tests names in its place. */
export type NamePattern = Pick<RegExp, 'source' | 'flags' | 'lastIndex' | 'test'>

/** Names that begin with one of some prefixes, or that match a pattern. */
export type NameFilter = { readonly prefixes: readonly string[] } | { readonly pattern: NamePattern }

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

/**
 * Prefixes one of which every name that passes has: those of the filter, or the plain text that a pattern begins with; null where
 * nothing is known. What no name can hold is left out.
 */
export function prefixesOf(filter: NameFilter | undefined): readonly string[] | null {
  if (filter === undefined) return null
  const prefixes = 'prefixes' in filter ? filter.prefixes : [plainStart(filter.pattern)]
  if (prefixes.includes('')) return null
  return [...new Set(prefixes.filter((prefix) => !prefix.includes('\0') && prefix.isWellFormed()))]
}

/** `domain-a` of /^domain-a[0-9]+/; nothing where letters of either case match, lines begin anywhere, or there is a choice. */
function plainStart({ source, flags }: NamePattern): string {
  if (/[imv]/.test(flags) || source.includes('|')) return ''
  const start = /^\^((?:[\w\-:/ ]|\\[.\-/])*)(.?)/.exec(source)
  const plain = (start?.[1] ?? '').replaceAll('\\', '')
  // What follows may make the last character optional.
  return ['?', '*', '{'].includes(start?.[2] ?? '') ? plain.slice(0, -1) : plain
}
