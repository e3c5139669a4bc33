import { families } from './catalogue.ts'
import { categoryOf } from './stream-names.ts'

/** Categories of the streams on which the daemon's own facts stand; nobody else may append to them. */
export const ownCategories: ReadonlySet<string> = new Set(families.flatMap(({ streams }) => streams).map(categoryOf))

/** Whether a stream is one of the daemon's own. */
export function isOwnStream(stream: string): boolean {
  return ownCategories.has(categoryOf(stream))
}
