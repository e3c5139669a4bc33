import { hash } from 'node:crypto'
import type { Blob } from './recorded-event.ts'

/** The big text with the name by which events refer to it. */
export function blobOf(text: string | Uint8Array): Blob {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  return { sha256: hash('sha256', bytes), bytes }
}
