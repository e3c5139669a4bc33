/** The names that somebody who typed `wanted` may have meant, best first, at most five; all of a few where none is near. */
export function closestNames(wanted: string, names: readonly string[]): readonly string[] {
  const near = names
    .map((name) => ({ name, distance: distance(wanted.toLowerCase(), name.toLowerCase()) }))
    .filter(
      (one) => one.distance <= Math.max(2, wanted.length / 3) || one.name.toLowerCase().includes(wanted.toLowerCase()),
    )
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .map((one) => one.name)
  return (near.length > 0 ? near : names.length <= 8 ? names.toSorted() : []).slice(0, 8)
}

/** The end of an error message that offers names; empty where there is none to offer. */
export function alternatives(wanted: string, names: readonly string[]): string {
  const close = closestNames(wanted, names)
  return close.length === 0 ? '' : `; known are ${close.map((name) => `"${name}"`).join(', ')}`
}

/** Levenshtein distance, one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
