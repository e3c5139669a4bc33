import { createHash } from 'node:crypto'

/** Lower-case hex SHA-256 of a text (as UTF-8) or of bytes: the name of a content-addressed text. */
export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}
