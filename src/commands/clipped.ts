/** The beginning of a text that somebody else chose the length of; never half of a character. */
export function clipped(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : text.slice(0, maxLength).replace(/[\uD800-\uDBFF]$/, '')
}
