import { families, type FactType } from './catalogue.ts'
import { categoryOf } from './stream-names.ts'

/** Types of the daemon's own whose data may be erased: nothing is decided by it, and no read model is made of it. */
export const erasableTypes: readonly FactType[] = ['CommandRefused', 'RefusalsCounted', 'HostFactsObserved']

const ownCategories = new Set(families.flatMap(({ streams }) => streams.map(categoryOf)))

/** Why the data of an event must not be erased; null where it may. Streams beside the daemon's own are their writers' to decide. */
export function whyNotErasable(stream: string, type: string): string | null {
  if (!ownCategories.has(categoryOf(stream)) || erasableTypes.some((each) => each === type)) return null
  return `the daemon's own state is made of events of type ${type}; of those on its own streams only ${erasableTypes.join(', ')} may be erased`
}
