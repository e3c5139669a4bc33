import type { Kind } from './assertion.ts'
import { repliesToDocument } from './caps-kinds.ts'

/** The kinds that are known, by corpus and kind; a case of any other kind fails. */
export const kinds: Readonly<Record<string, Kind>> = {
  'caps/replies2qemucaps': repliesToDocument,
}
