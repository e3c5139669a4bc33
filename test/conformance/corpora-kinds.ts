import type { Kind } from './assertion.ts'
import { repliesToDocument } from './caps-kinds.ts'
import { documentToDomain } from './domain-kinds.ts'
import { documentToGuest, treeToHost } from './extra-kinds.ts'

/** The kinds that are known, by corpus and kind; a case of any other kind fails. */
export const kinds: Readonly<Record<string, Kind>> = {
  'caps/replies2qemucaps': repliesToDocument,
  'extra/sysfs2hostcaps': treeToHost,
  'extra/qemucaps2guestcaps': documentToGuest,
  'extra/qemucaps2domcaps': documentToDomain,
}
