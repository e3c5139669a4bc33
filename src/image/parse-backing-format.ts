import { knownFormats } from './format-signatures.ts'
import type { ReadableFormat } from './image-header.ts'
import { isReadableFormat } from './read-image-header.ts'

/** What the recorded format of a backing image means. */
export type BackingFormat =
  | { readonly kind: 'format'; readonly format: ReadableFormat }
  /** The image does not record one: refused, or raw when the operator allows it; never guessed. */
  | { readonly kind: 'missing' }
  /** A known format that is not served, or an unknown word: `why` is half a sentence for an error. */
  | { readonly kind: 'unsupported'; readonly why: string }

// Older programs recorded the way to the bytes in place of their format: the bytes are then the disk itself.
const accessNames: readonly string[] = ['file', 'host_device', 'nbd']

/** Turns the format that an image records for the image below it into one that can be read. */
export function parseBackingFormat(recorded: string | null): BackingFormat {
  if (recorded === null) return { kind: 'missing' }
  if (isReadableFormat(recorded)) return { kind: 'format', format: recorded }
  if (accessNames.includes(recorded)) return { kind: 'format', format: 'raw' }
  const word = JSON.stringify(recorded)
  if (knownFormats.includes(recorded)) return { kind: 'unsupported', why: `its format ${word} is not served` }
  return { kind: 'unsupported', why: `its format ${word} is unknown` }
}
